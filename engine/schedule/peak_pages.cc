#include "engine/schedule/peak_pages.h"

#include <algorithm>

#include "engine/schedule/request.h"

namespace chorus::engine {

int64_t PeakPages(std::vector<PeakItem> items) {
  // Just before item k leaves, everybody with at least as much left is still there and has grown by
  // what k had left; the peak is one of these moments.
  std::sort(items.begin(), items.end(),
            [](const PeakItem& a, const PeakItem& b) { return a.remaining > b.remaining; });
  int64_t peak = 0;
  for (size_t k = 0; k < items.size(); ++k) {
    int64_t pages = 0;
    for (size_t i = 0; i <= k; ++i) pages += PagesFor(items[i].tokens + items[k].remaining);
    peak = std::max(peak, pages);
  }
  return peak;
}

}  // namespace chorus::engine
