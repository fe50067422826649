// What runs in this program is PTX of 8.0, which the driver compiles: else its other tests would
// tell nothing of such cards.
#include <cuda_runtime.h>

#include "kernels/lora/expand_kernel.h"
#include "kernels/lora/lora_plan_kernel.h"
#include "kernels/lora/shrink_kernel.h"
#include "kernels/norm/add_norm_kernel.h"
#include "kernels/sampling/sample_kernel.h"
#include "tests/gpu/gpu_test.h"

namespace chorus::test {
namespace {

class PtxGpuTest : public GpuTest {};

TEST_F(PtxGpuTest, KernelsAreOfComputeCapabilityEight) {
  for (const kernels::Kernel* kernel :
       {&kernels::kLoraShrinkLanesBf16, &kernels::kLoraShrinkLanesF16,
        &kernels::kLoraExpandLanesBf16F32, &kernels::kLoraExpandLanesF16F16, &kernels::kLoraPlan,
        &kernels::kAddNormBf16, &kernels::kSample}) {
    cudaFuncAttributes attributes;
    ASSERT_EQ(cudaFuncGetAttributes(&attributes, kernel->cuda_entry), cudaSuccess) << kernel->name;
    EXPECT_EQ(attributes.ptxVersion, 80) << kernel->name;
  }
}

}  // namespace
}  // namespace chorus::test
