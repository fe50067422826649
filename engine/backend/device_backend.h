// The backend of devices: a CUDA card, or in tests the simulator.
#ifndef CHORUS_ENGINE_BACKEND_DEVICE_BACKEND_H_
#define CHORUS_ENGINE_BACKEND_DEVICE_BACKEND_H_

#include "absl/status/statusor.h"
#include "engine/backend/backend.h"
#include "kernels/device/device.h"
#include "kernels/library/library_ops.h"

namespace chorus::engine {

// Weights, then workspaces at the largest step, GEMMs, the pool of what is left, graphs, then what
// loads need; seals the device. The pool's B tiles are in fragments. Device and libraries outlive
// the backend. Errors are those of DeviceWeights::Load and DeviceRunner::Create; InvalidArgument
// naming an engine option that a device cannot follow.
absl::StatusOr<Backend> MakeDeviceBackend(kernels::Device* device, kernels::LibraryOps* ops,
                                          const BackendSpec& spec);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_BACKEND_DEVICE_BACKEND_H_
