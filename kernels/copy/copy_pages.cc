#include "kernels/copy/copy_pages.h"

#include <cstring>

#include "kernels/device/arg_check.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {

absl::Status CopyPages(const CopyPagesArgs& args, const Stream& stream) {
  const ArgCheck check("CopyPages");
  const PoolView& pool = args.pool;
  CHORUS_RETURN_IF_ERROR(check.Pool(pool, 0));
  for (const PageCopy& copy : args.copies) {
    CHORUS_RETURN_IF_ERROR(check.InRange("from", copy.from, 0, pool.num_ids));
    CHORUS_RETURN_IF_ERROR(check.InRange("to", copy.to, 0, pool.num_ids));
  }
  const auto copies = static_cast<int64_t>(args.copies.size());
  stream.cpu().ParallelFor(pool.num_slabs * copies, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const auto slab = static_cast<int32_t>(i / copies);
      const PageCopy& copy = args.copies[static_cast<size_t>(i % copies)];
      std::memcpy(pool.CellAddress(pool.CellOf(slab, copy.to)),
                  pool.CellAddress(pool.CellOf(slab, copy.from)),
                  static_cast<size_t>(pool.cell_bytes()));
    }
  });
  return absl::OkStatus();
}

}  // namespace chorus::kernels
