// The simulator's LibraryOps: matrix products and attention as plain loops that are work of its
// streams.
#ifndef CHORUS_TESTS_SIMT_LIBRARY_OPS_SIM_H_
#define CHORUS_TESTS_SIMT_LIBRARY_OPS_SIM_H_

#include <vector>

#include "kernels/check.h"
#include "kernels/library/library_ops.h"
#include "kernels/status_macros.h"
#include "tests/simt/linear_sim.h"
#include "tests/simt/paged_attention_sim.h"
#include "tests/simt/sim_device.h"

namespace chorus::test {

class SimLibraryOps : public kernels::LibraryOps {
 public:
  // `device` must outlive this.
  explicit SimLibraryOps(kernels::SimDevice* device) : device_(*device) {}

  absl::Status CheckHeadDim(int32_t) const override { return absl::OkStatus(); }

  absl::StatusOr<int32_t> PlanLinear(const kernels::DeviceLinearShape& shape,
                                     std::span<const kernels::DeviceLinearArgs> samples,
                                     kernels::DeviceStream*) override {
    CHORUS_CHECK(!samples.empty());
    for (const kernels::DeviceLinearArgs& args : samples) {
      CHORUS_RETURN_IF_ERROR(CheckDeviceLinear(shape, args));
    }
    CHORUS_RETURN_IF_ERROR(CheckDeviceLinear(shape));
    for (size_t i = 0; i < shapes_.size(); ++i) {
      if (TextOf(shapes_[i]) == TextOf(shape)) return static_cast<int32_t>(i);
    }
    shapes_.push_back(shape);
    return static_cast<int32_t>(shapes_.size()) - 1;
  }
  absl::Status Linear(int32_t number, const kernels::DeviceLinearArgs& args,
                      kernels::DeviceStream* stream) override {
    return EnqueueLinear(shape(number), args, &device_, stream);
  }
  absl::Status PagedAttention(const kernels::DeviceAttentionArgs& args,
                              kernels::DeviceStream* stream) override {
    return EnqueuePagedAttention(args, &device_, stream);
  }

 protected:
  const kernels::DeviceLinearShape& shape(int32_t number) const {
    return shapes_.at(static_cast<size_t>(number));
  }

 private:
  kernels::SimDevice& device_;
  std::vector<kernels::DeviceLinearShape> shapes_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_LIBRARY_OPS_SIM_H_
