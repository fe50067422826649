// chorus_step_bench: whole steps on the first GPU.
#include <utility>

#include "bench/gpu/step_bench.h"
#include "kernels/device/cuda_device.h"
#include "kernels/library/library_ops_cuda.h"
#include "kernels/status_macros.h"

namespace chorus::bench {
namespace {

absl::StatusOr<StepDevice> OpenGpu() {
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<kernels::CudaDevice> device,
                          kernels::CudaDevice::Open("auto"));
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<kernels::LibraryOps> ops,
                          kernels::MakeCudaLibraryOps(device.get(), /*choices_path=*/""));
  return StepDevice{.device = std::move(device), .ops = std::move(ops)};
}

}  // namespace
}  // namespace chorus::bench

int main(int argc, char** argv) {
  return chorus::bench::StepBenchMain(
      argc, argv, chorus::bench::OpenGpu,
      [](chorus::bench::StepDevice*, chorus::bench::StepBenchOptions* options) {
        options->label = "cuda";
        if (options->model.name == "tiny") options->rig.pool_bytes = int64_t{64} << 20;
      });
}
