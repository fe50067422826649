// The conservative admission test: would a set of sequences fit if each ran to its last token?
#ifndef CHORUS_ENGINE_SCHEDULE_PEAK_PAGES_H_
#define CHORUS_ENGINE_SCHEDULE_PEAK_PAGES_H_

#include <cstdint>
#include <vector>

namespace chorus::engine {

struct PeakItem {
  int64_t tokens = 0;     // in pages now (or to be computed first)
  int64_t remaining = 0;  // tokens that it may still add
  bool decoding = false;  // it adds one in each step from now on; else it may begin any time later
};

// The most pages that `items` can hold at any time until all have left. Those that decode grow
// together and leave when done (S-LoRA's test, counted in pages); the others may still be there
// whenever that is. Pages that sequences share are counted for each.
int64_t PeakPages(std::vector<PeakItem> items);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_PEAK_PAGES_H_
