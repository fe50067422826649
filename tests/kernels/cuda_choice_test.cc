// Every way in which a GPU can be missing, unusable or chosen, from facts as the driver gives them.
#include "kernels/device/cuda_choice.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace chorus::kernels {
namespace {

using KernelDriver = CudaFacts::KernelDriver;

CudaGpu Gpu(std::string name, int32_t capability) {
  return {.name = std::move(name), .uuid = "GPU-1234", .compute_capability = capability};
}

CudaFacts WithGpus(std::vector<CudaGpu> gpus) {
  return {.driver_version = 13000,
          .runtime_version = 13000,
          .kernel_driver = KernelDriver::kPresent,
          .gpus = std::move(gpus)};
}

CudaFacts WithProblem(CudaProblem problem, std::string error) {
  return {.problem = problem,
          .error = std::move(error),
          .driver_version = 13000,
          .runtime_version = 13000,
          .kernel_driver = KernelDriver::kPresent};
}

// Expects that `spec` is refused with `code` and a message that has all of `parts`.
void ExpectRefused(absl::string_view spec, const CudaFacts& facts, absl::StatusCode code,
                   std::vector<std::string> parts) {
  const absl::Status status = ChooseCudaGpu(spec, facts).status();
  EXPECT_EQ(status.code(), code) << status;
  for (const std::string& part : parts) {
    EXPECT_TRUE(absl::StrContains(status.message(), part)) << status << "\nwithout: " << part;
  }
}

TEST(CudaChoiceTest, FirstUsableGpuIsTakenAndSaid) {
  for (const char* spec : {"auto", "cuda"}) {
    const auto choice = ChooseCudaGpu(spec, WithGpus({Gpu("T4", 75), Gpu("H100", 90)}));
    ASSERT_TRUE(choice.ok()) << choice.status();
    EXPECT_EQ(choice->ordinal, 1);
    EXPECT_EQ(choice->why, "cuda:1, H100 (GPU-1234): the first usable one of 2");
  }
}

TEST(CudaChoiceTest, NamedGpuIsTakenOrRefusedNeverReplaced) {
  const CudaFacts facts = WithGpus({Gpu("H100", 90), Gpu("A100", 80), Gpu("T4", 75)});
  const auto choice = ChooseCudaGpu("cuda:1", facts);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->ordinal, 1);
  ExpectRefused("cuda:2", facts, absl::StatusCode::kFailedPrecondition,
                {"cuda:2, T4", "compute capability 7.5", "8.0 or newer"});
  ExpectRefused("cuda:3", facts, absl::StatusCode::kNotFound, {"the last GPU is cuda:2"});
}

TEST(CudaChoiceTest, MalformedSpecIsInvalid) {
  for (const char* spec : {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "cuda: 1", "cuda:+1",
                           "cuda:99999", "CUDA"}) {
    ExpectRefused(spec, WithGpus({Gpu("H100", 90)}), absl::StatusCode::kInvalidArgument,
                  {"want auto, cuda or cuda:N"});
  }
}

TEST(CudaChoiceTest, MachineWithoutGpuIsNotFound) {
  CudaFacts facts = WithProblem(CudaProblem::kOldDriver, "cudaErrorInsufficientDriver");
  facts.driver_version = 0;
  facts.kernel_driver = KernelDriver::kAbsent;
  ExpectRefused("auto", facts, absl::StatusCode::kNotFound, {"no CUDA driver"});
  facts = WithProblem(CudaProblem::kNoDevice, "cudaErrorNoDevice");
  facts.kernel_driver = KernelDriver::kAbsent;
  ExpectRefused("auto", facts, absl::StatusCode::kNotFound, {"no CUDA GPU"});
}

TEST(CudaChoiceTest, HiddenGpuIsNotFound) {
  for (const char* hidden : {"", "-1", "NoDevFiles"}) {
    CudaFacts facts = WithProblem(CudaProblem::kNoDevice, "cudaErrorNoDevice");
    facts.visible_devices = hidden;
    ExpectRefused("auto", facts, absl::StatusCode::kNotFound, {"CUDA_VISIBLE_DEVICES"});
  }
}

TEST(CudaChoiceTest, UnusableGpuSaysWhatWasFoundAndNeeded) {
  constexpr auto kCode = absl::StatusCode::kFailedPrecondition;
  CudaFacts facts = WithProblem(CudaProblem::kOldDriver, "cudaErrorInsufficientDriver");
  facts.driver_version = 12040;
  ExpectRefused("auto", facts, kCode, {"CUDA 12.4", "CUDA 13.0 or newer"});
  facts.driver_version = 0;
  ExpectRefused("auto", facts, kCode, {"libcuda.so.1 was not found", "CUDA 13.0"});

  facts = WithProblem(CudaProblem::kNoDevice, "cudaErrorNoDevice: none");
  ExpectRefused("auto", facts, kCode, {"lists no GPU (cudaErrorNoDevice: none)"});
  facts.kernel_driver = KernelDriver::kForbidden;
  ExpectRefused("auto", facts, kCode, {"/dev/nvidiactl may not be opened", "permission"});
  facts.visible_devices = "GPU-4321";
  ExpectRefused("auto", facts, kCode, {"GPU-4321", "nvidia-smi -L"});

  ExpectRefused("cuda", WithProblem(CudaProblem::kNoPermission, "cudaErrorNotPermitted: no"), kCode,
                {"cudaErrorNotPermitted: no", "permission"});
  ExpectRefused("cuda", WithProblem(CudaProblem::kNotReady, "cudaErrorSystemNotReady"), kCode,
                {"cudaErrorSystemNotReady", "fabric manager"});
  ExpectRefused("cuda", WithProblem(CudaProblem::kMismatch, "cudaErrorSystemDriverMismatch"), kCode,
                {"cudaErrorSystemDriverMismatch", "one version"});
  ExpectRefused("cuda", WithProblem(CudaProblem::kOther, "cudaErrorUnknown"), kCode,
                {"cudaErrorUnknown", "nvidia-smi"});

  facts = WithGpus({Gpu("H100", 90)});
  facts.gpus[0].prohibited = true;
  ExpectRefused("auto", facts, kCode, {"H100", "prohibited compute mode", "nvidia-smi -c 0"});
  ExpectRefused("auto", WithGpus({Gpu("T4", 75), Gpu("V100", 70)}), kCode, {"T4", "7.5", "8.0"});
}

TEST(CudaChoiceTest, GpuThatDoesNotOpenIsNamedWithTheError) {
  const absl::Status status = CudaOpenError({.ordinal = 0, .why = "cuda:0, H100"},
                                            CudaProblem::kBusy, "cudaErrorDevicesUnavailable");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  for (const char* part : {"cuda:0, H100", "cudaErrorDevicesUnavailable", "nvidia-smi -c 0"}) {
    EXPECT_TRUE(absl::StrContains(status.message(), part)) << status;
  }
}

}  // namespace
}  // namespace chorus::kernels
