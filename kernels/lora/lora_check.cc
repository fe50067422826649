#include "kernels/lora/lora_check.h"

#include "absl/strings/str_cat.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

absl::Status CheckModule(const ArgCheck& check, const LoraBatch& batch, const LoraSlot& slot,
                         int site_index) {
  const LoraModuleEntry& entry = slot.entry(batch.layer, batch.site->modules[site_index]);
  CHORUS_RETURN_IF_ERROR(check.InRange("rank", entry.rank, 0, kMaxLoraRank + 1));
  if (entry.rank == 0) return absl::OkStatus();
  const int64_t tiles = static_cast<int64_t>(slot.cells.size()) * TilesPerCell(*batch.pool);
  const bool is_shrink = batch.inputs > 0;
  const int64_t width = is_shrink ? batch.inputs : batch.site->y_width[site_index];
  const int64_t first = is_shrink ? entry.a_tile : entry.b_tile;
  if (first < 0 || first + MatrixTiles(width, entry.rank) > tiles) {
    return check.Fail(absl::StrCat(is_shrink ? "A" : "B", " of module ",
                                   batch.site->modules[site_index], " begins at tile ", first,
                                   " and has ", MatrixTiles(width, entry.rank),
                                   ", want all inside the adapter's ", tiles));
  }
  if (!is_shrink && entry.bias_tile >= 0 && entry.bias_tile + VectorTiles(width) > tiles) {
    return check.Fail(absl::StrCat("the bias of module ", batch.site->modules[site_index],
                                   " begins at tile ", entry.bias_tile,
                                   ", want all inside the adapter's ", tiles));
  }
  return absl::OkStatus();
}

absl::Status CheckSegment(const ArgCheck& check, const LoraBatch& batch,
                          const LoraSegment& segment) {
  CHORUS_RETURN_IF_ERROR(
      check.InRange("slot", segment.slot, 0, static_cast<int64_t>(batch.slots->size())));
  const LoraSlot& slot = (*batch.slots)[static_cast<size_t>(segment.slot)];
  const auto layers = static_cast<int64_t>(slot.modules.size()) / kNumLoraModules;
  CHORUS_RETURN_IF_ERROR(check.InRange("layer", batch.layer, 0, layers));
  for (int m = 0; m < batch.site->num_modules; ++m) {
    CHORUS_RETURN_IF_ERROR(CheckModule(check, batch, slot, m));
  }
  const int64_t ranks = SiteRanks(slot, batch.layer, *batch.site);
  if (ranks > batch.xa_cols) {
    return check.Fail(absl::StrCat("xa has ", batch.xa_cols, " columns, want at least the ", ranks,
                                   " ranks of slot ", segment.slot));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckLoraBatch(const ArgCheck& check, const LoraBatch& batch) {
  CHORUS_RETURN_IF_ERROR(check.NotNull("slots", batch.slots));
  CHORUS_RETURN_IF_ERROR(check.Pool(*batch.pool, 0));
  CHORUS_RETURN_IF_ERROR(check.InRange("site.num_modules", batch.site->num_modules, 0, 4));
  for (int m = 0; m < batch.site->num_modules; ++m) {
    CHORUS_RETURN_IF_ERROR(
        check.InRange("site.modules", batch.site->modules[m], 0, kNumLoraModules));
  }
  int64_t row = 0;
  for (const LoraSegment& segment : batch.segments) {
    if (segment.first_row < row || segment.num_rows < 1 ||
        int64_t{segment.first_row} + segment.num_rows > batch.rows) {
      return check.Fail(absl::StrCat("a segment begins at row ", segment.first_row, " and has ",
                                     segment.num_rows, " rows, want at least one between row ", row,
                                     " and row ", batch.rows));
    }
    row = int64_t{segment.first_row} + segment.num_rows;
    CHORUS_RETURN_IF_ERROR(CheckSegment(check, batch, segment));
  }
  return absl::OkStatus();
}

}  // namespace chorus::kernels
