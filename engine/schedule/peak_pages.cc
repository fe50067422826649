#include "engine/schedule/peak_pages.h"

#include <algorithm>
#include <array>

#include "engine/schedule/request.h"

namespace chorus::engine {

// Pages only grow between two leavings, so the peak is just before one of them. The leavings are
// visited in order; between them those that grow are told apart by how full their last page is.
int64_t PeakPages(std::vector<PeakItem> items) {
  std::sort(items.begin(), items.end(),
            [](const PeakItem& a, const PeakItem& b) { return a.remaining < b.remaining; });
  int64_t whole = 0;  // pages that are full or stay as they are
  // Those that grow, by the tokens behind their full pages
  std::array<int64_t, kernels::kPageTokens> growing = {};
  const auto count = [&](const PeakItem& item, int64_t sign) {
    whole += sign * (item.tokens / kernels::kPageTokens);
    growing[static_cast<size_t>(item.tokens % kernels::kPageTokens)] += sign;
  };
  for (const PeakItem& item : items) count(item, 1);
  int64_t peak = 0;
  auto left = items.begin();  // those before it have all their tokens
  for (auto leaving = items.begin(); leaving != items.end(); ++leaving) {
    const int64_t steps = leaving->remaining;
    if (leaving != items.begin() && std::prev(leaving)->remaining == steps) continue;
    for (; left != leaving; ++left) {
      count(*left, -1);
      if (!left->decoding) whole += PagesFor(left->tokens + left->remaining);
    }
    int64_t pages = whole;
    for (size_t tokens = 0; tokens < growing.size(); ++tokens) {
      pages += growing[tokens] * PagesFor(static_cast<int64_t>(tokens) + steps);
    }
    peak = std::max(peak, pages);
  }
  return peak;
}

}  // namespace chorus::engine
