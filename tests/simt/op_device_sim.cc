// The cases of ops on the SIMT executor.
#include "gmock/gmock.h"
#include "tests/simt/mutation.h"
#include "tests/support/ops/op_device.h"

namespace chorus::test {

std::string WhyNoOpDevice() { return ""; }
int64_t OpDeviceBytes() { return int64_t{1} << 40; }

std::string RunOpBytes(const kernels::Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                       const void* params, OpLaunch /*launch*/, kernels::SimtMemory& memory,
                       const kernels::SimtOptions& options) {
  return kernels::RunSimt(kernel, blocks, shared_bytes, params, memory, options).failure;
}

void ExpectEverySiteIsMissed(
    const std::function<std::string(const kernels::SimtOptions& options)>& run, size_t sites) {
  const kernels::MutationResult result = kernels::MutateEverySite(run);
  EXPECT_EQ(result.clean_failure, "");
  EXPECT_THAT(result.survivors, testing::IsEmpty());
  EXPECT_EQ(result.caught.size(), sites);
}

}  // namespace chorus::test
