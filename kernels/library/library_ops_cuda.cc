#include "kernels/library/library_ops_cuda.h"

#include <utility>

#include "kernels/attention/paged_attention_cuda.h"
#include "kernels/linear/linear_cuda.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

class CudaLibraryOps : public LibraryOps {
 public:
  CudaLibraryOps(std::unique_ptr<LinearPlanner> linears, DeviceBuffer workspace)
      : linears_(std::move(linears)), workspace_(std::move(workspace)) {}

  absl::Status CheckHeadDim(int32_t head_dim) const override { return CheckCudaHeadDim(head_dim); }

  absl::StatusOr<int32_t> PlanLinear(const DeviceLinearShape& shape,
                                     std::span<const DeviceLinearArgs> samples,
                                     DeviceStream* stream) override {
    CHORUS_ASSIGN_OR_RETURN(const int32_t number,
                            linears_->Plan(shape, samples, workspace_.data(), stream));
    // What was measured outlives a start that fails later.
    CHORUS_RETURN_IF_ERROR(linears_->SaveChoices());
    return number;
  }

  absl::Status Linear(int32_t number, const DeviceLinearArgs& args, DeviceStream* stream) override {
    return linears_->Run(number, args, workspace_.data(), stream);
  }

  absl::Status PagedAttention(const DeviceAttentionArgs& args, DeviceStream* stream) override {
    return PagedAttentionCuda(args, stream);
  }

 private:
  const std::unique_ptr<LinearPlanner> linears_;
  const DeviceBuffer workspace_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LibraryOps>> MakeCudaLibraryOps(Device* device,
                                                               std::string choices_path) {
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<LinearPlanner> linears,
                          LinearPlanner::Create(device, std::move(choices_path)));
  CHORUS_ASSIGN_OR_RETURN(DeviceBuffer workspace, device->Allocate(kLinearWorkspaceBytes));
  return std::make_unique<CudaLibraryOps>(std::move(linears), std::move(workspace));
}

}  // namespace chorus::kernels
