#include "engine/backend/pool_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace chorus::engine {

absl::StatusOr<PoolMemory> PoolMemory::Allocate(const ModelConfig& model, kernels::DType dtype,
                                                int64_t bytes) {
  kernels::PoolView view{nullptr, 1, model.layers, model.kv_heads, model.head_dim, dtype};
  view.num_ids = bytes / view.total_bytes();
  if (view.num_ids < 1) {
    return absl::InvalidArgumentError(absl::StrCat("pool_bytes: at least ", view.total_bytes(),
                                                   ", one page of this model in all layers, got ",
                                                   bytes));
  }
  void* const base = mmap(nullptr, static_cast<size_t>(view.total_bytes()), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("pool of ", view.total_bytes(), " bytes: ", std::strerror(errno)));
  }
  // Fewer misses of the address cache; where the system refuses, all works as well.
  madvise(base, static_cast<size_t>(view.total_bytes()), MADV_HUGEPAGE);
  view.base = static_cast<std::byte*>(base);
  return PoolMemory(view);
}

PoolMemory::~PoolMemory() {
  if (view_.base != nullptr) munmap(view_.base, static_cast<size_t>(view_.total_bytes()));
}

}  // namespace chorus::engine
