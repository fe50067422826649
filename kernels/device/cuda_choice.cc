#include "kernels/device/cuda_choice.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace chorus::kernels {
namespace {

std::string Version(int32_t version) {
  return absl::StrCat(version / 1000, ".", version % 1000 / 10);
}

std::string Capability(int32_t capability) {
  return absl::StrCat(capability / 10, ".", capability % 10);
}

std::string Describe(int32_t ordinal, const CudaGpu& gpu) {
  return absl::StrCat("cuda:", ordinal, ", ", gpu.name, " (", gpu.uuid, ")");
}

absl::Status Unusable(absl::string_view found, absl::string_view needed) {
  return absl::FailedPreconditionError(
      absl::StrCat("there is a GPU, but it cannot be used: ", found, "; needed: ", needed));
}

// What can be done about a problem that is the same before and after a GPU was chosen.
absl::string_view Needed(CudaProblem problem) {
  switch (problem) {
    case CudaProblem::kNoPermission:
      return "read and write permission on /dev/nvidia*, and a container that was given the GPU";
    case CudaProblem::kBusy:
      return "a GPU in default compute mode (nvidia-smi -c 0), or one that nobody else holds";
    case CudaProblem::kNotReady:
      return "a driver that has finished starting, and its fabric manager where NVSwitch is";
    case CudaProblem::kMismatch:
      return "a kernel module and driver library of one version (often: restart after an update)";
    default:
      return "a working CUDA driver (see nvidia-smi)";
  }
}

absl::Status NoDevice(const CudaFacts& facts) {
  using KernelDriver = CudaFacts::KernelDriver;
  if (facts.visible_devices.has_value()) {
    const std::string& visible = *facts.visible_devices;
    if (visible.empty() || visible == "-1" || visible == "NoDevFiles") {
      return absl::NotFoundError(
          absl::StrCat("CUDA_VISIBLE_DEVICES=\"", visible, "\" hides every GPU"));
    }
    if (facts.kernel_driver != KernelDriver::kAbsent) {
      return Unusable(
          absl::StrCat("CUDA_VISIBLE_DEVICES=\"", visible, "\" names no GPU of this machine"),
          "a number or UUID as nvidia-smi -L lists them");
    }
  }
  switch (facts.kernel_driver) {
    case KernelDriver::kAbsent:
      return absl::NotFoundError("this machine has no CUDA GPU");
    case KernelDriver::kForbidden:
      return Unusable("/dev/nvidiactl may not be opened", Needed(CudaProblem::kNoPermission));
    case KernelDriver::kPresent:
      break;
  }
  return Unusable(absl::StrCat("the driver is loaded and lists no GPU (", facts.error, ")"),
                  "a GPU that nvidia-smi lists, given to this container");
}

absl::Status OldDriver(const CudaFacts& facts) {
  if (facts.driver_version == 0 && facts.kernel_driver == CudaFacts::KernelDriver::kAbsent) {
    return absl::NotFoundError("this machine has no CUDA driver");
  }
  const std::string found =
      facts.driver_version == 0
          ? "the driver's module is loaded, but libcuda.so.1 was not found"
          : absl::StrCat("the driver is for CUDA ", Version(facts.driver_version));
  return Unusable(found,
                  absl::StrCat("a driver for CUDA ", Version(facts.runtime_version), " or newer"));
}

absl::Status ListingError(const CudaFacts& facts) {
  switch (facts.problem) {
    case CudaProblem::kNoDevice:
      return NoDevice(facts);
    case CudaProblem::kOldDriver:
      return OldDriver(facts);
    default:
      return Unusable(facts.error, Needed(facts.problem));
  }
}

absl::Status CheckUsable(int32_t ordinal, const CudaGpu& gpu) {
  if (gpu.compute_capability < kMinComputeCapability) {
    return Unusable(absl::StrCat(Describe(ordinal, gpu), " has compute capability ",
                                 Capability(gpu.compute_capability)),
                    absl::StrCat(Capability(kMinComputeCapability), " or newer"));
  }
  if (gpu.prohibited) {
    return Unusable(absl::StrCat(Describe(ordinal, gpu), " is in prohibited compute mode"),
                    Needed(CudaProblem::kBusy));
  }
  return absl::OkStatus();
}

// The N of "cuda:N"; -1 for "auto" and "cuda".
absl::StatusOr<int32_t> ParseSpec(absl::string_view spec) {
  if (spec == "auto" || spec == "cuda") return -1;
  absl::string_view number = spec;
  int32_t ordinal = 0;
  if (absl::ConsumePrefix(&number, "cuda:") && number.size() <= 4 &&
      number.find_first_not_of("0123456789") == number.npos && absl::SimpleAtoi(number, &ordinal)) {
    return ordinal;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("device \"", spec, "\", want auto, cuda or cuda:N"));
}

}  // namespace

absl::StatusOr<CudaChoice> ChooseCudaGpu(absl::string_view spec, const CudaFacts& facts) {
  const absl::StatusOr<int32_t> wanted = ParseSpec(spec);
  if (!wanted.ok()) return wanted.status();
  if (facts.problem != CudaProblem::kNone) return ListingError(facts);
  const int32_t num_gpus = static_cast<int32_t>(facts.gpus.size());
  if (num_gpus == 0) return NoDevice(facts);
  if (*wanted >= num_gpus) {
    return absl::NotFoundError(absl::StrCat(
        "device \"", spec, "\", but the last GPU is cuda:", num_gpus - 1,
        facts.visible_devices.has_value() ? " of those that CUDA_VISIBLE_DEVICES leaves" : ""));
  }
  if (*wanted >= 0) {
    const CudaGpu& gpu = facts.gpus[*wanted];
    if (absl::Status usable = CheckUsable(*wanted, gpu); !usable.ok()) return usable;
    return CudaChoice{*wanted, absl::StrCat(Describe(*wanted, gpu), ": as asked for")};
  }
  absl::Status first_refusal;
  for (int32_t i = 0; i < num_gpus; ++i) {
    const absl::Status usable = CheckUsable(i, facts.gpus[i]);
    if (usable.ok()) {
      return CudaChoice{
          i, absl::StrCat(Describe(i, facts.gpus[i]), ": the first usable one of ", num_gpus)};
    }
    first_refusal.Update(usable);
  }
  return first_refusal;
}

absl::Status CudaOpenError(const CudaChoice& choice, CudaProblem problem, absl::string_view error) {
  return Unusable(absl::StrCat(choice.why, ", but it did not open: ", error), Needed(problem));
}

}  // namespace chorus::kernels
