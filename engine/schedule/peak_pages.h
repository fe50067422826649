// The conservative admission test: would a set of sequences fit if each ran to its last token?
#ifndef CHORUS_ENGINE_SCHEDULE_PEAK_PAGES_H_
#define CHORUS_ENGINE_SCHEDULE_PEAK_PAGES_H_

#include <cstdint>
#include <vector>

namespace chorus::engine {

struct PeakItem {
  int64_t tokens = 0;     // in pages now (or to be computed at once)
  int64_t remaining = 0;  // tokens that it may still add
};

// The most pages that `items` hold at any time when all add one token a step and leave when done
// (S-LoRA's test, counted in pages). Pages that sequences share are counted for each.
int64_t PeakPages(std::vector<PeakItem> items);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_PEAK_PAGES_H_
