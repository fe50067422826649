#include "server/model/serving_model.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::server {
namespace {

absl::Status WrongType(const char* expected, const char* got) {
  return engine::Refuse(engine::Reason::kValueOutOfRange, "--dtype", expected, got);
}

absl::StatusOr<kernels::DType> ChooseGpuType(ComputeType wanted, kernels::DType file_dtype) {
  switch (wanted) {
    case ComputeType::kF32:
      return WrongType("auto, bf16 or f16 on a GPU", "f32");
    case ComputeType::kBf16:
      return kernels::DType::kBf16;
    case ComputeType::kF16:
      return kernels::DType::kF16;
    case ComputeType::kAuto:
      break;
  }
  return file_dtype == kernels::DType::kF16 ? kernels::DType::kF16 : kernels::DType::kBf16;
}

absl::StatusOr<kernels::DType> ChooseCpuType(ComputeType wanted, kernels::DType file_dtype) {
  switch (wanted) {
    case ComputeType::kF32:
      return kernels::DType::kF32;
    case ComputeType::kBf16:
      return kernels::DType::kBf16;
    case ComputeType::kF16:
      return WrongType("auto, bf16 or f32 on the CPU", "f16");
    case ComputeType::kAuto:
      break;
  }
  // f16 values would overflow or lose bits in bf16, f32 ones lose bits: those files run in f32.
  return file_dtype == kernels::DType::kBf16 ? kernels::DType::kBf16 : kernels::DType::kF32;
}

}  // namespace

absl::StatusOr<ServingModel> ServingModel::Load(const ServerConfig& config, bool on_gpu,
                                                const engine::Clock* clock) {
  ServingModel model;
  model.name = config.served_model_name;
  CHORUS_ASSIGN_OR_RETURN(model.config, engine::ModelConfig::Load(config.model));
  const auto choose = on_gpu ? ChooseGpuType : ChooseCpuType;
  CHORUS_ASSIGN_OR_RETURN(model.dtype, choose(config.dtype, model.config.file_dtype));
  CHORUS_ASSIGN_OR_RETURN(model.tokenizer, engine::Tokenizer::Load(config.model));

  if (config.isolate_special_tokens) model.plain_special.emplace(*model.tokenizer);

  model.vocabulary = std::min(model.config.vocabulary, model.tokenizer->size());
  std::set<int32_t> eos(model.config.eos_token_ids.begin(), model.config.eos_token_ids.end());
  const std::optional<engine::NamedToken>& end = model.tokenizer->special_tokens().eos;
  if (end.has_value() && end->id.has_value()) eos.insert(*end->id);
  model.eos_token_ids.assign(eos.begin(), eos.end());
  if (config.generation_config == GenerationDefaults::kAuto) {
    model.defaults = model.config.generation;
  }

  absl::StatusOr<engine::ChatTemplate> chat = engine::ChatTemplate::Load(
      config.model, config.chat_template, *model.tokenizer, [clock] { return clock->Now(); });
  if (chat.ok()) {
    model.chat = *std::move(chat);
  } else if (absl::IsInvalidArgument(chat.status())) {
    return chat.status();
  } else {
    model.chat_problem = engine::MakeRefusal(
        absl::StatusCode::kFailedPrecondition,
        engine::RefusalOf(chat.status())
            .value_or(engine::Refusal{engine::Reason::kChatUnavailable, "chat", "",
                                      std::string(chat.status().message())}));
  }
  return model;
}

}  // namespace chorus::server
