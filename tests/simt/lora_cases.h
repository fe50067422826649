// One layer and site of a step's LoRA on the SIMT executor: adapters with random weights on
// shuffled pages, plan, shrink and expand, and every output against double.
#ifndef CHORUS_TESTS_SIMT_LORA_CASES_H_
#define CHORUS_TESTS_SIMT_LORA_CASES_H_

#include <string>
#include <vector>

#include "kernels/device/dtype.h"
#include "kernels/lora/lora_items.h"
#include "tests/simt/simt_options.h"

namespace chorus::test {

struct LoraCaseSegment {
  int rows = 1;
  std::vector<int> ranks;  // of the site's modules, 0: none
  bool has_bias = false;
};

struct LoraCase {
  kernels::DType dtype = kernels::DType::kBf16;
  bool wide_delta = true;  // f32, else the pool's type
  int inputs = 64;
  std::vector<int> widths = {64};  // of the site's modules
  std::vector<LoraCaseSegment> segments;
  int base_rows = 1;  // before the first segment; one row lies between segments
  int layers = 2;
  int layer = 1;
  int tiles_per_cell = 24;
  int64_t num_ids = 64;  // of the pool
  int max_planes = 16;
  int blocks = 3;
  int spread = 0;    // blocks that the plan cuts expands for
  bool bulk = true;  // how tiles come: bulk copies, or lanes
  // 4 or 8: shrink and expand in one launch of `blocks` clusters of so many blocks, bulk copies and
  // a delta in f32; else one after the other.
  int cluster = 0;
  float x_scale = 1.0f;
  int missing_items = 0;     // of every list: so many fewer than come
  bool fills_lease = false;  // the last tile of each adapter is the last of its lease, else any
  uint32_t seed = 1;
};

// "" or what is wrong.
std::string RunLoraCase(const LoraCase& c, const kernels::SimtOptions& options);
// The law: the case as it is, then each segment alone, with the same bits.
std::string RunLoraCaseAlone(const LoraCase& c, const kernels::SimtOptions& options);
// For messages.
std::string Name(const LoraCase& c);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_LORA_CASES_H_
