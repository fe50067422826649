#include "kernels/copy/host_pages.h"

#include <cstring>

#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

absl::Status Move(const char* op, const HostPagesArgs& args, bool save, const Stream& stream) {
  const ArgCheck check(op);
  const PoolView& pool = args.pool;
  CHORUS_RETURN_IF_ERROR(check.Pool(pool, 0));
  CHORUS_RETURN_IF_ERROR(CheckHostPages(check, pool, args.host.num_slots, args.copies));
  const auto copies = static_cast<int64_t>(args.copies.size());
  stream.cpu().ParallelFor(pool.num_slabs * copies, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const HostPageCopy& copy = args.copies[static_cast<size_t>(i / pool.num_slabs)];
      const auto slab = static_cast<int32_t>(i % pool.num_slabs);
      std::byte* const cell = pool.CellAddress(pool.CellOf(slab, copy.page));
      std::byte* const kept = args.host.At(pool, copy.slot, slab);
      std::memcpy(save ? kept : cell, save ? cell : kept, static_cast<size_t>(pool.cell_bytes()));
    }
  });
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckHostPages(const ArgCheck& check, const PoolView& pool, int64_t num_slots,
                            std::span<const HostPageCopy> copies) {
  for (const HostPageCopy& copy : copies) {
    CHORUS_RETURN_IF_ERROR(check.InRange("page", copy.page, 0, pool.num_ids));
    CHORUS_RETURN_IF_ERROR(check.InRange("slot", copy.slot, 0, num_slots));
  }
  return absl::OkStatus();
}

absl::Status SavePages(const HostPagesArgs& args, const Stream& stream) {
  return Move("SavePages", args, /*save=*/true, stream);
}

absl::Status RestorePages(const HostPagesArgs& args, const Stream& stream) {
  return Move("RestorePages", args, /*save=*/false, stream);
}

}  // namespace chorus::kernels
