// Where the cases of ops run: on the SIMT executor, or on a GPU. The program that links them says
// which: it links tests/simt/op_device_sim.cc, or op_on_device.cc. One thread at a time.
#ifndef CHORUS_TESTS_SUPPORT_OPS_OP_DEVICE_H_
#define CHORUS_TESTS_SUPPORT_OPS_OP_DEVICE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "gtest/gtest.h"
#include "kernels/device/device.h"
#include "tests/simt/simt_launch.h"

namespace chorus::test {

// "", or why there is no device for ops here: tests skip.
std::string WhyNoOpDevice();

// What cases may take together; they skip where they need more.
int64_t OpDeviceBytes();

class OpTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = WhyNoOpDevice();
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  static bool Fits(int64_t bytes) { return bytes < OpDeviceBytes(); }
};

using OpLaunch = absl::Status (*)(kernels::DeviceStream* stream, const kernels::Kernel& kernel,
                                  int32_t blocks, int32_t shared_bytes, const void* params);
std::string RunOpBytes(const kernels::Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                       const void* params, OpLaunch launch, kernels::SimtMemory& memory,
                       const kernels::SimtOptions& options);

// One launch over the buffers of `memory`, which lie on the host, as do the pointers in `params`.
// "" or what failed. Only the executor asks for the options; a GPU has orders of its own.
template <class Params>
std::string RunOp(const kernels::Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                  const Params& params, kernels::SimtMemory& memory,
                  const kernels::SimtOptions& options) {
  const OpLaunch launch = [](kernels::DeviceStream* stream, const kernels::Kernel& launched,
                             int32_t grid, int32_t shared, const void* data) {
    return stream->Launch(launched, grid, shared, *static_cast<const Params*>(data));
  };
  return RunOpBytes(kernel, blocks, shared_bytes, &params, launch, memory, options);
}

// The mutation test (tests/simt/mutation.h) of the cases, which come by `sites` sites. On a GPU,
// where no call can be taken away, the cases as they are.
void ExpectEverySiteIsMissed(
    const std::function<std::string(const kernels::SimtOptions& options)>& run, size_t sites);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_OPS_OP_DEVICE_H_
