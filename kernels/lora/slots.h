// What the LoRA ops know of an adapter: a slot with the cells that hold its tiles and, per layer
// and module, rank, scale and first tiles. Base rows have no slot and appear in no segment.
#ifndef CHORUS_KERNELS_LORA_SLOTS_H_
#define CHORUS_KERNELS_LORA_SLOTS_H_

#include <cstdint>
#include <vector>

#include "kernels/lora/tiles.h"

namespace chorus::kernels {

// The seven linears of a decoder layer, in the order of the tables below.
enum LoraModule : int { kQ, kK, kV, kO, kGate, kUp, kDown };
constexpr int kNumLoraModules = 7;

// Modules of one site share their input x; their outputs are column ranges of one tensor.
struct LoraSite {
  int num_modules = 0;
  int modules[3] = {};       // LoraModule
  int64_t y_column[3] = {};  // first output column of each
  int64_t y_width[3] = {};   // output columns of each
};

struct LoraModuleEntry {
  int32_t rank = 0;        // 0: the adapter leaves this module alone
  float scale = 0.0f;      // alpha / rank, or alpha / sqrt(rank)
  int32_t a_tile = 0;      // first tile of A, in the adapter's fill order
  int32_t b_tile = 0;      // first tile of B
  int32_t bias_tile = -1;  // first tile of lora_B.bias, -1 without
};

struct LoraSlot {
  std::vector<int32_t> cells;            // cell numbers in fill order
  std::vector<LoraModuleEntry> modules;  // [num_layers * kNumLoraModules]

  const LoraModuleEntry& entry(int layer, int module) const {
    return modules[static_cast<size_t>(layer * kNumLoraModules + module)];
  }
};

// Indexed by slot number; slots not in use are empty.
using LoraSlotTable = std::vector<LoraSlot>;

// A run of batch rows that share an adapter.
struct LoraSegment {
  int32_t slot = 0;
  int32_t first_row = 0;
  int32_t num_rows = 0;
};

// Columns of the intermediate xA that `slot` needs at a site: Σ over its modules of rank rounded
// up to kTileRanks; the modules' ranges follow one another in the site's order.
inline int64_t SiteRanks(const LoraSlot& slot, int layer, const LoraSite& site) {
  int64_t ranks = 0;
  for (int m = 0; m < site.num_modules; ++m) {
    ranks += RoundUp<int64_t>(slot.entry(layer, site.modules[m]).rank, kTileRanks);
  }
  return ranks;
}

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_SLOTS_H_
