// generation_config.json: how a model's makers want it sampled, and where its answers end.
#ifndef CHORUS_ENGINE_MODEL_GENERATION_CONFIG_H_
#define CHORUS_ENGINE_MODEL_GENERATION_CONFIG_H_

#include <set>

#include "absl/status/statusor.h"
#include "engine/json/strict_json.h"
#include "engine/model/model_config.h"

namespace chorus::engine {

// InvalidArgument naming the field for a value outside its range.
absl::StatusOr<GenerationDefaults> ReadGenerationDefaults(const JsonValue& config);

// Adds "eos_token_id" of `config`, an id or a list of ids below `vocabulary`.
absl::Status AddEosIds(const JsonValue& config, int32_t vocabulary, std::set<int32_t>* ids);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_GENERATION_CONFIG_H_
