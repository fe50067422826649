// CopyPages: copies whole pages, in every slab, from one id to another.
#ifndef CHORUS_KERNELS_COPY_COPY_PAGES_H_
#define CHORUS_KERNELS_COPY_COPY_PAGES_H_

#include <span>

#include "absl/status/status.h"
#include "kernels/copy/page_copy.h"
#include "kernels/device/pool_view.h"
#include "kernels/device/stream.h"

namespace chorus::kernels {

struct CopyPagesArgs {
  PoolView pool;
  std::span<const PageCopy> copies;  // no id is both read and written, none written twice
};

absl::Status CopyPages(const CopyPagesArgs& args, const Stream& stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_COPY_COPY_PAGES_H_
