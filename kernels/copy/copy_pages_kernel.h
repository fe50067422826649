// CopyPages on a device: whole pages, in every slab, from one id to another.
#ifndef CHORUS_KERNELS_COPY_COPY_PAGES_KERNEL_H_
#define CHORUS_KERNELS_COPY_COPY_PAGES_KERNEL_H_

#include <cstddef>
#include <cstdint>

#include "kernels/copy/page_copy.h"
#include "kernels/device/kernel.h"

namespace chorus::kernels {

// All pointers are the device's.
struct CopyPagesParams {
  std::byte* pool;  // PoolView::base
  int64_t num_ids;
  int64_t cell_bytes;      // a multiple of 16
  const PageCopy* copies;  // [capacity]; no id is both read and written, none written twice
  const int32_t* count;    // how many of them are meant
  int32_t num_slabs;
  int32_t capacity;
};

// Any number of blocks: they share out what there is.
extern const Kernel kCopyPages;

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_COPY_COPY_PAGES_KERNEL_H_
