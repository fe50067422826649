// What a runner of devices must be made for, given what the engine may ask of it, and what the
// scheduler must then keep to. Pure functions.
#ifndef CHORUS_ENGINE_BACKEND_DEVICE_LIMITS_H_
#define CHORUS_ENGINE_BACKEND_DEVICE_LIMITS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/model/device_runner.h"
#include "engine/model/model_config.h"
#include "engine/model/runner.h"
#include "engine/schedule/engine_options.h"
#include "kernels/device/dtype.h"

namespace chorus::engine {

// The worst step that the scheduler may plan, but where that would take much memory for what hardly
// comes: pages, penalties, adapters, which RunnerLimits then bound. InvalidArgument, naming the
// option, when the kernels cannot do what it allows.
absl::StatusOr<DeviceRunnerOptions> DeviceRunnerOptionsFor(const EngineOptions& engine,
                                                           const ModelConfig& config,
                                                           int32_t vocabulary);

RunnerLimits LimitsOf(const DeviceRunnerOptions& options);

// Pages of an adapter of this rank on every linear, biases included.
int64_t MaxAdapterPages(const ModelConfig& config, int32_t rank);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_BACKEND_DEVICE_LIMITS_H_
