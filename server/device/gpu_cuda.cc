#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/backend/device_backend.h"
#include "kernels/device/cuda_device.h"
#include "kernels/library/library_ops_cuda.h"
#include "kernels/status_macros.h"
#include "server/device/cache_file.h"
#include "server/device/gpu.h"
#include "server/log/log.h"

namespace chorus::server {
namespace {

// Losing it costs a slower start, nothing else.
std::string LinearChoicesPath() {
  absl::StatusOr<std::string> path = CacheFile("linear_choices");
  if (path.ok()) return *std::move(path);
  LogWarning("measurements of matrix products are not kept", {{"why", path.status().message()}});
  return "";
}

}  // namespace

absl::StatusOr<ServingDevice> OpenGpu(const std::string& spec) {
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<kernels::CudaDevice> device,
                          kernels::CudaDevice::Open(spec));
  absl::StatusOr<std::unique_ptr<kernels::LibraryOps>> ops =
      kernels::MakeCudaLibraryOps(device.get(), LinearChoicesPath());
  if (!ops.ok()) {  // whatever it is: the GPU is there
    return absl::FailedPreconditionError(
        absl::StrCat("there is a GPU, but it cannot be used: ", ops.status().message()));
  }
  ServingDevice serving;
  serving.name = absl::StrCat("cuda:", device->ordinal(), " (", device->info().name, ")");
  serving.why = device->choice();
  serving.make_backend = [device = device.get(),
                          ops = ops->get()](const engine::BackendSpec& backend) {
    return engine::MakeDeviceBackend(device, ops, backend);
  };
  serving.device = std::move(device);
  serving.ops = *std::move(ops);
  return serving;
}

}  // namespace chorus::server
