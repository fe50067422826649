// DevicePool: the page pool's memory on a device: taken once, when all else has been taken, never
// grown.
#ifndef CHORUS_ENGINE_MODEL_DEVICE_POOL_H_
#define CHORUS_ENGINE_MODEL_DEVICE_POOL_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/device/device.h"
#include "kernels/device/pool_view.h"

namespace chorus::engine {

struct DevicePoolSize {
  int64_t bytes = 0;          // as many pages as these hold; 0: what is free, but for the reserve
  int64_t reserve_bytes = 0;  // left free when `bytes` is 0
  int64_t min_pages = 1;
};

class DevicePool {
 public:
  // `geometry` says what a page is; its base and num_ids are not looked at. ResourceExhausted, with
  // what is needed and what there is, when the pool has fewer pages than it must, or the device
  // less memory than was asked for. Contents are undefined.
  static absl::StatusOr<DevicePool> Allocate(kernels::Device* device,
                                             const kernels::PoolView& geometry,
                                             const DevicePoolSize& size);

  DevicePool() = default;
  const kernels::PoolView& view() const { return view_; }

 private:
  kernels::DeviceBuffer memory_;
  kernels::PoolView view_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_POOL_H_
