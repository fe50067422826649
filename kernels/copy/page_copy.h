// PageCopy: one page to be copied, in every slab.
#ifndef CHORUS_KERNELS_COPY_PAGE_COPY_H_
#define CHORUS_KERNELS_COPY_PAGE_COPY_H_

#include <cstdint>

namespace chorus::kernels {

struct PageCopy {
  int32_t from = 0;
  int32_t to = 0;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_COPY_PAGE_COPY_H_
