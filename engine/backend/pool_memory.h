// PoolMemory: the host memory of a page pool: taken once, never grown, given back by the
// destructor. Pages are touched when they are first used.
#ifndef CHORUS_ENGINE_BACKEND_POOL_MEMORY_H_
#define CHORUS_ENGINE_BACKEND_POOL_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"
#include "kernels/device/pool_view.h"

namespace chorus::engine {

class PoolMemory {
 public:
  // As many pages as `bytes` hold. InvalidArgument when they hold none, ResourceExhausted when the
  // system has no such memory.
  static absl::StatusOr<PoolMemory> Allocate(const ModelConfig& model, kernels::DType dtype,
                                             int64_t bytes);
  PoolMemory() = default;  // of no pages
  ~PoolMemory();
  PoolMemory(PoolMemory&& other) noexcept : view_(std::exchange(other.view_, {})) {}
  PoolMemory& operator=(PoolMemory&& other) noexcept {
    std::swap(view_, other.view_);
    return *this;
  }

  // Of all layers; valid as long as this.
  const kernels::PoolView& view() const { return view_; }

 private:
  explicit PoolMemory(const kernels::PoolView& view) : view_(view) {}

  kernels::PoolView view_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_BACKEND_POOL_MEMORY_H_
