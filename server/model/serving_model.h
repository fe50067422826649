// ServingModel: what the front end knows of the model that is served: its texts, its limits, its
// defaults. Immutable once loaded, so any thread may read it.
#ifndef CHORUS_SERVER_MODEL_SERVING_MODEL_H_
#define CHORUS_SERVER_MODEL_SERVING_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/clock.h"
#include "engine/model/model_config.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"
#include "kernels/device/dtype.h"
#include "server/config/server_config.h"
#include "server/model/plain_special.h"

namespace chorus::server {

struct ServingModel {
  std::string name;  // under which requests ask for the base model
  engine::ModelConfig config;
  kernels::DType dtype = kernels::DType::kF32;  // that the model computes in
  std::unique_ptr<const engine::Tokenizer> tokenizer;
  std::optional<engine::ChatTemplate> chat;   // when the model has one that can be run
  absl::Status chat_problem;                  // else why not
  std::optional<PlainSpecial> plain_special;  // --isolate-special-tokens
  // Ends a sequence: of generation_config, config and tokenizer_config, the union, ascending.
  std::vector<int32_t> eos_token_ids;
  int32_t vocabulary = 0;  // ids at or above it are never drawn nor taken
  // Absent (--generation-config=none): unset fields mean plain sampling at temperature 1.
  std::optional<engine::GenerationDefaults> defaults;

  // Reads everything but the weights, to be run on a GPU (`on_gpu`) or on the CPU. InvalidArgument
  // for a model that cannot be served exactly, FailedPrecondition when the processor lacks what
  // `dtype` needs.
  static absl::StatusOr<ServingModel> Load(const ServerConfig& config, bool on_gpu,
                                           const engine::Clock* clock);
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_MODEL_SERVING_MODEL_H_
