#include "engine/schedule/peak_pages.h"

#include <algorithm>

#include "engine/schedule/request.h"

namespace chorus::engine {

int64_t PeakPages(const std::vector<PeakItem>& items) {
  // Pages only grow between two leavings, so the peak is just before one of them.
  int64_t peak = 0;
  for (const PeakItem& leaving : items) {
    const int64_t steps = leaving.remaining;
    int64_t pages = 0;
    for (const PeakItem& item : items) {
      if (item.decoding && item.remaining < steps) continue;
      pages += PagesFor(item.tokens + std::min(item.remaining, steps));
    }
    peak = std::max(peak, pages);
  }
  return peak;
}

}  // namespace chorus::engine
