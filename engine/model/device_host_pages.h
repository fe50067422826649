// DeviceHostPages: pinned memory for pages of KV that leave a device's pool and may come back.
// Moves are ordered with all else on the stream of steps.
#ifndef CHORUS_ENGINE_MODEL_DEVICE_HOST_PAGES_H_
#define CHORUS_ENGINE_MODEL_DEVICE_HOST_PAGES_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/step_plan.h"
#include "kernels/copy/host_pages.h"
#include "kernels/device/device.h"
#include "kernels/device/pool_view.h"

namespace chorus::engine {

class DeviceHostPages {
 public:
  // As many slots as `bytes` hold: none is fine.
  static absl::StatusOr<DeviceHostPages> Create(kernels::Device* device,
                                                const kernels::PoolView& geometry, int64_t bytes);
  DeviceHostPages() = default;

  // InvalidArgument naming a page or a slot that is not there.
  absl::Status Check(const StepPlan& plan, const kernels::PoolView& pool) const;
  // Enqueues the plan's saves, then its restores. REQUIRES: Check was OK.
  absl::Status Move(const StepPlan& plan, const kernels::PoolView& pool,
                    kernels::DeviceStream* stream);

  int64_t num_slots() const { return view_.num_slots; }
  int64_t pinned_bytes() const { return memory_.bytes(); }

 private:
  kernels::DeviceBuffer memory_;
  kernels::HostPagesView view_;
  std::vector<kernels::DeviceCopy> pieces_;  // reused from step to step
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_HOST_PAGES_H_
