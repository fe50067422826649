// The contract of a Device on the first GPU.
#include "kernels/device/cuda_device.h"
#include "tests/support/device_contract.h"

namespace chorus::kernels {

std::vector<DeviceUnderTest> DevicesUnderTest() {
  return {{.name = "Cuda",
           .open = []() -> absl::StatusOr<std::unique_ptr<Device>> {
             auto device = CudaDevice::Open("cuda");
             if (!device.ok()) return device.status();
             return std::unique_ptr<Device>(*std::move(device));
           },
           // Some 10 ms.
           .slow_rounds = 1'000'000}};
}

}  // namespace chorus::kernels
