#include "server/device/gpu.h"

namespace chorus::server {

absl::StatusOr<ServingDevice> OpenGpu(const std::string&) {
  return absl::UnimplementedError("this chorusd was built without CUDA");
}

}  // namespace chorus::server
