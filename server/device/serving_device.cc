#include "server/device/serving_device.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/device/gpu.h"

namespace chorus::server {
namespace {

ServingDevice Cpu(std::string why) {
  ServingDevice cpu;
  cpu.name = "cpu";
  cpu.why = std::move(why);
  cpu.make_backend = engine::MakeCpuBackend;
  return cpu;
}

}  // namespace

absl::StatusOr<ServingDevice> ServingDevice::Open(const std::string& spec) {
  if (spec == "cpu") return Cpu("as asked for");
  absl::StatusOr<ServingDevice> gpu = OpenGpu(spec);
  return gpu.ok() ? std::move(gpu) : WithoutGpu(spec, gpu.status());
}

absl::StatusOr<ServingDevice> WithoutGpu(const std::string& spec, const absl::Status& opened) {
  if (spec == "auto") {
    if (absl::IsNotFound(opened)) {
      return Cpu(absl::StrCat("no GPU was found: ", opened.message()));
    }
    if (absl::IsUnimplemented(opened)) return Cpu(std::string(opened.message()));
  }
  return absl::FailedPreconditionError(absl::StrCat("--device=", spec, ": ", opened.message()));
}

}  // namespace chorus::server
