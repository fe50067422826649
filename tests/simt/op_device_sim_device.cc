// The cases of ops on the simulated device, so that what brings them to a GPU is tested too.
#include "tests/simt/sim_device.h"
#include "tests/support/ops/op_on_device.h"

namespace chorus::test {

absl::StatusOr<OpDevice> OpenOpDevice() {
  kernels::SimOptions options;
  options.info.total_bytes = int64_t{1} << 30;
  return OpDevice{.device = std::make_unique<kernels::SimDevice>(options),
                  .large_bytes = 256 << 10};
}

}  // namespace chorus::test
