#include "engine/model/device_host_pages.h"

#include "kernels/status_macros.h"

namespace chorus::engine {

absl::StatusOr<DeviceHostPages> DeviceHostPages::Create(kernels::Device* device,
                                                        const kernels::PoolView& geometry,
                                                        int64_t bytes) {
  DeviceHostPages pages;
  const int64_t slot_bytes = geometry.num_slabs * geometry.cell_bytes();
  pages.view_.num_slots = bytes / slot_bytes;
  if (pages.view_.num_slots == 0) return pages;
  CHORUS_ASSIGN_OR_RETURN(pages.memory_,
                          device->AllocatePinned(pages.view_.num_slots * slot_bytes));
  pages.view_.base = pages.memory_.data();
  return pages;
}

absl::Status DeviceHostPages::Check(const StepPlan& plan, const kernels::PoolView& pool) const {
  CHORUS_RETURN_IF_ERROR(
      CheckHostPages(kernels::ArgCheck("step plan: saves"), pool, view_.num_slots, plan.saves));
  return CheckHostPages(kernels::ArgCheck("step plan: restores"), pool, view_.num_slots,
                        plan.restores);
}

absl::Status DeviceHostPages::Move(const StepPlan& plan, const kernels::PoolView& pool,
                                   kernels::DeviceStream* stream) {
  const auto list = [&](std::span<const kernels::HostPageCopy> copies, bool save) {
    pieces_.clear();
    for (const kernels::HostPageCopy& copy : copies) {
      for (int32_t slab = 0; slab < pool.num_slabs; ++slab) {
        std::byte* const cell = pool.CellAddress(pool.CellOf(slab, copy.page));
        std::byte* const kept = view_.At(pool, copy.slot, slab);
        pieces_.push_back({save ? kept : cell, save ? cell : kept, pool.cell_bytes()});
      }
    }
  };
  list(plan.saves, /*save=*/true);
  CHORUS_RETURN_IF_ERROR(stream->CopyManyToHost(pieces_));
  list(plan.restores, /*save=*/false);
  return stream->CopyManyToDevice(pieces_);
}

}  // namespace chorus::engine
