#include "engine/model/generation_config.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr double kMost = std::numeric_limits<float>::max();

absl::Status ReadFloat(const JsonValue& value, double least, double most,
                       std::optional<float>* out) {
  if (value.absent()) return absl::OkStatus();
  CHORUS_ASSIGN_OR_RETURN(const double number, value.Number());
  if (number < least || number > most) {
    return Refuse(Reason::kModelUnsupported, value.place(),
                  most == kMost ? absl::StrCat("a number from ", least)
                                : absl::StrCat("a number from ", least, " to ", most),
                  value.Shown());
  }
  *out = static_cast<float>(number);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GenerationDefaults> ReadGenerationDefaults(const JsonValue& config) {
  GenerationDefaults defaults;
  CHORUS_RETURN_IF_ERROR(ReadFloat(config["temperature"], 0.0, kMost, &defaults.temperature));
  CHORUS_RETURN_IF_ERROR(ReadFloat(config["top_p"], 0.0, 1.0, &defaults.top_p));
  CHORUS_RETURN_IF_ERROR(ReadFloat(config["min_p"], 0.0, 1.0, &defaults.min_p));
  CHORUS_RETURN_IF_ERROR(
      ReadFloat(config["repetition_penalty"], 1e-6, kMost, &defaults.repetition_penalty));
  if (!config["top_k"].absent()) {
    CHORUS_ASSIGN_OR_RETURN(const int64_t top_k,
                            config["top_k"].Integer(0, std::numeric_limits<int32_t>::max()));
    defaults.top_k = static_cast<int32_t>(top_k);
  }
  if (!config["do_sample"].absent()) {
    CHORUS_ASSIGN_OR_RETURN(defaults.do_sample, config["do_sample"].Bool());
  }
  return defaults;
}

absl::Status AddEosIds(const JsonValue& config, int32_t vocabulary, std::set<int32_t>* ids) {
  const JsonValue value = config["eos_token_id"];
  if (value.absent()) return absl::OkStatus();
  const auto add = [&](const JsonValue& id) -> absl::Status {
    CHORUS_ASSIGN_OR_RETURN(const int64_t token, id.Integer(0, vocabulary - 1));
    ids->insert(static_cast<int32_t>(token));
    return absl::OkStatus();
  };
  if (!value.is_array()) return add(value);
  for (const JsonValue& id : value.Elements()) CHORUS_RETURN_IF_ERROR(add(id));
  return absl::OkStatus();
}

}  // namespace chorus::engine
