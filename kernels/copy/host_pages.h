// Host pages: what the pages of a pool held, kept on the host where no kernel reads it. A slot
// holds one page, slab after slab.
#ifndef CHORUS_KERNELS_COPY_HOST_PAGES_H_
#define CHORUS_KERNELS_COPY_HOST_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "kernels/device/arg_check.h"
#include "kernels/device/pool_view.h"
#include "kernels/device/stream.h"

namespace chorus::kernels {

// Between a page and a slot, in all slabs.
struct HostPageCopy {
  int32_t page = 0;
  int32_t slot = 0;
};

struct HostPagesView {
  std::byte* base = nullptr;
  int64_t num_slots = 0;

  std::byte* At(const PoolView& pool, int32_t slot, int32_t slab) const {
    return base + (int64_t{slot} * pool.num_slabs + slab) * pool.cell_bytes();
  }
};

// InvalidArgument naming a page or a slot that is not there.
absl::Status CheckHostPages(const ArgCheck& check, const PoolView& pool, int64_t num_slots,
                            std::span<const HostPageCopy> copies);

struct HostPagesArgs {
  PoolView pool;  // in the host's memory
  HostPagesView host;
  std::span<const HostPageCopy> copies;  // none is written twice, or read and written
};

absl::Status SavePages(const HostPagesArgs& args, const Stream& stream);     // to the slots
absl::Status RestorePages(const HostPagesArgs& args, const Stream& stream);  // from the slots

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_COPY_HOST_PAGES_H_
