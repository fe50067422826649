// ServingDevice: where chorusd runs its model, opened as --device says: the CPU, or a GPU with its
// libraries.
#ifndef CHORUS_SERVER_DEVICE_SERVING_DEVICE_H_
#define CHORUS_SERVER_DEVICE_SERVING_DEVICE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/backend/backend.h"
#include "kernels/device/device.h"
#include "kernels/library/library_ops.h"

namespace chorus::server {

struct ServingDevice {
  std::string name;                         // "cpu", "cuda:0 (NVIDIA H100 80GB HBM3)"
  std::string why;                          // this one, for the log
  std::unique_ptr<kernels::Device> device;  // null on the CPU; outlives the backend
  std::unique_ptr<kernels::LibraryOps> ops;
  // A build without CUDA links no backend of devices, so who opens a device brings its own.
  std::function<absl::StatusOr<engine::Backend>(const engine::BackendSpec&)> make_backend;

  bool is_cpu() const { return device == nullptr; }

  // `spec` is "auto", "cpu", "cuda" or "cuda:N". "auto" is the CPU where there is no GPU. A GPU
  // that is there and cannot be used is an error, with what was found and what is needed:
  // FailedPrecondition; so is one that was asked for and is not there.
  static absl::StatusOr<ServingDevice> Open(const std::string& spec);
};

// What `spec` comes to when OpenGpu did not work.
absl::StatusOr<ServingDevice> WithoutGpu(const std::string& spec, const absl::Status& opened);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_DEVICE_SERVING_DEVICE_H_
