// What a config.json may say that would change the mathematics in a way that is not computed here.
#ifndef CHORUS_ENGINE_MODEL_UNSUPPORTED_FEATURES_H_
#define CHORUS_ENGINE_MODEL_UNSUPPORTED_FEATURES_H_

#include "absl/status/status.h"
#include "engine/json/strict_json.h"
#include "engine/model/model_config.h"

namespace chorus::engine {

// InvalidArgument naming the field: quantised checkpoints, mixtures of experts, caps and scales of
// logits and residuals, another activation. A field that has no effect at its value is let pass.
absl::Status CheckFeatures(const JsonValue& config);

// InvalidArgument when some layer attends to fewer than the model's `max_positions` tokens.
absl::Status CheckSlidingWindow(const JsonValue& config, const ModelConfig& model);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_UNSUPPORTED_FEATURES_H_
