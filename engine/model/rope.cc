#include "engine/model/rope.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

absl::Status ReadNumber(const JsonValue& value, double* out) {
  if (value.absent()) return absl::OkStatus();
  CHORUS_ASSIGN_OR_RETURN(*out, value.Number());
  return absl::OkStatus();
}

absl::Status ReadNumber(const JsonValue& value, std::optional<double>* out) {
  if (value.absent()) return absl::OkStatus();
  CHORUS_ASSIGN_OR_RETURN(*out, value.Number());
  return absl::OkStatus();
}

absl::Status Unsupported(const JsonValue& value, std::string expected) {
  return Refuse(Reason::kModelUnsupported, value.place(), std::move(expected), value.Shown());
}

// transformers 4 writes "rope_scaling" beside "rope_theta", transformers 5 "rope_parameters"; where
// a file has both, the former goes first.
absl::StatusOr<JsonValue> FindParameters(const JsonValue& config) {
  static constexpr std::string_view kKnown[] = {"rope_theta",
                                                "rope_type",
                                                "type",
                                                "partial_rotary_factor",
                                                "factor",
                                                "truncate",
                                                "beta_fast",
                                                "original_max_position_embeddings",
                                                "beta_slow",
                                                "mscale",
                                                "finetuned",
                                                "mscale_all_dim",
                                                "low_freq_factor",
                                                "high_freq_factor",
                                                "attention_factor"};
  JsonValue parameters = config["rope_scaling"];
  if (!parameters.truthy()) parameters = config["rope_parameters"];
  if (parameters.absent()) return parameters;
  if (!parameters.is_object()) return Unsupported(parameters, "an object");
  for (const auto& [field, value] : parameters.json().items()) {
    if (std::find(std::begin(kKnown), std::end(kKnown), field) != std::end(kKnown)) continue;
    // The lists of longrope, and parameters by kind of layer, among others.
    if (!value.is_null()) return Unsupported(parameters[field], "no such field");
  }
  return parameters;
}

absl::StatusOr<RopeType> ReadType(const JsonValue& parameters) {
  JsonValue type = parameters["rope_type"];
  if (type.absent()) type = parameters["type"];
  if (type.absent()) return RopeType::kDefault;
  CHORUS_ASSIGN_OR_RETURN(const std::string name, type.String());
  if (name == "default") return RopeType::kDefault;
  if (name == "linear") return RopeType::kLinear;
  if (name == "llama3") return RopeType::kLlama3;
  if (name == "yarn") return RopeType::kYarn;
  return Unsupported(type, "default, linear, llama3 or yarn");
}

absl::Status ReadTheta(const JsonValue& config, const JsonValue& parameters, RopeConfig* rope) {
  JsonValue theta = parameters["rope_theta"];
  if (theta.absent()) theta = config["rope_theta"];
  CHORUS_RETURN_IF_ERROR(ReadNumber(theta, &rope->theta));
  return rope->theta > 1.0 ? absl::OkStatus() : Unsupported(theta, "a number above 1");
}

absl::Status CheckPartial(const JsonValue& value) {
  double factor = 1.0;
  CHORUS_RETURN_IF_ERROR(ReadNumber(value, &factor));
  return factor == 1.0 ? absl::OkStatus() : Unsupported(value, "1.0");
}

absl::Status ReadFactor(const JsonValue& parameters, int64_t max_positions, RopeConfig* rope) {
  const JsonValue factor = parameters["factor"];
  if (rope->type == RopeType::kYarn && factor.absent()) {
    rope->factor =
        static_cast<double>(max_positions) / static_cast<double>(rope->original_max_position);
  } else {
    CHORUS_ASSIGN_OR_RETURN(rope->factor, factor.Number());
  }
  return rope->factor >= 1.0 ? absl::OkStatus() : Unsupported(factor, "a number of at least 1");
}

absl::Status ReadLlama3(const JsonValue& parameters, RopeConfig* rope) {
  CHORUS_ASSIGN_OR_RETURN(rope->low_freq_factor, parameters["low_freq_factor"].Number());
  CHORUS_ASSIGN_OR_RETURN(rope->high_freq_factor, parameters["high_freq_factor"].Number());
  if (rope->low_freq_factor <= 0.0) {
    return Unsupported(parameters["low_freq_factor"], "a number above 0");
  }
  if (rope->high_freq_factor <= rope->low_freq_factor) {
    return Unsupported(
        parameters["high_freq_factor"],
        absl::StrCat("a number above low_freq_factor (", rope->low_freq_factor, ")"));
  }
  return absl::OkStatus();
}

absl::Status ReadYarn(const JsonValue& parameters, RopeConfig* rope) {
  CHORUS_RETURN_IF_ERROR(ReadNumber(parameters["attention_factor"], &rope->attention_factor));
  CHORUS_RETURN_IF_ERROR(ReadNumber(parameters["mscale"], &rope->mscale));
  CHORUS_RETURN_IF_ERROR(ReadNumber(parameters["mscale_all_dim"], &rope->mscale_all_dim));
  for (const auto& [field, beta] :
       {std::pair("beta_fast", &rope->beta_fast), std::pair("beta_slow", &rope->beta_slow)}) {
    const JsonValue value = parameters[field];
    if (!value.truthy()) continue;  // 0 is as good as none
    CHORUS_RETURN_IF_ERROR(ReadNumber(value, beta));
    if (*beta <= 0.0) return Unsupported(value, "a number above 0");
  }
  if (!parameters["truncate"].absent()) {
    CHORUS_ASSIGN_OR_RETURN(rope->truncate, parameters["truncate"].Bool());
  }
  return absl::OkStatus();
}

// The dimension whose wavelength makes `rotations` turns over the original context.
double CorrectionDimension(double rotations, double dim, double base, double positions) {
  return dim * std::log(positions / (rotations * 2.0 * std::numbers::pi)) / (2.0 * std::log(base));
}

// theta^(i / head_dim): positions per radian of the pair that begins at element i.
float WaveOf(const RopeConfig& rope, int32_t head_dim, int32_t i) {
  return std::pow(static_cast<float>(rope.theta),
                  static_cast<float>(i) / static_cast<float>(head_dim));
}

double YarnScale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

// transformers computes frequencies in f32, step by step; so do these three.
void ScaleLinear(const RopeConfig& rope, std::vector<float>* inv_freq) {
  for (float& frequency : *inv_freq) frequency /= static_cast<float>(rope.factor);
}

void ScaleLlama3(const RopeConfig& rope, std::vector<float>* inv_freq) {
  const auto context = static_cast<double>(rope.original_max_position);
  const auto longest = static_cast<float>(context / rope.low_freq_factor);
  const auto shortest = static_cast<float>(context / rope.high_freq_factor);
  const auto factor = static_cast<float>(rope.factor);
  for (float& frequency : *inv_freq) {
    const float wavelength = static_cast<float>(2.0 * std::numbers::pi) / frequency;
    if (wavelength < shortest) continue;
    if (wavelength > longest) {
      frequency /= factor;
      continue;
    }
    const float smooth =
        (static_cast<float>(context) / wavelength - static_cast<float>(rope.low_freq_factor)) /
        static_cast<float>(rope.high_freq_factor - rope.low_freq_factor);
    frequency = (1.0f - smooth) * frequency / factor + smooth * frequency;
  }
}

void ScaleYarn(const RopeConfig& rope, int32_t head_dim, std::vector<float>* inv_freq) {
  const auto positions = static_cast<double>(rope.original_max_position);
  double low = CorrectionDimension(rope.beta_fast, head_dim, rope.theta, positions);
  double high = CorrectionDimension(rope.beta_slow, head_dim, rope.theta, positions);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, head_dim - 1.0);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < inv_freq->size(); ++i) {
    const float ramp = std::clamp(
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f,
        1.0f);
    const float kept = 1.0f - ramp;
    const float wave = WaveOf(rope, head_dim, static_cast<int32_t>(2 * i));
    const float stretched = 1.0f / (static_cast<float>(rope.factor) * wave);
    (*inv_freq)[i] = stretched * (1.0f - kept) + (*inv_freq)[i] * kept;
  }
}

float YarnAttentionScaling(const RopeConfig& rope) {
  if (rope.attention_factor.has_value()) return static_cast<float>(*rope.attention_factor);
  const double mscale = rope.mscale.value_or(0.0);
  const double all_dim = rope.mscale_all_dim.value_or(0.0);
  if (mscale == 0.0 || all_dim == 0.0) return static_cast<float>(YarnScale(rope.factor, 1.0));
  return static_cast<float>(YarnScale(rope.factor, mscale) / YarnScale(rope.factor, all_dim));
}

}  // namespace

absl::StatusOr<RopeConfig> ReadRopeConfig(const JsonValue& config, int64_t max_positions) {
  RopeConfig rope;
  CHORUS_ASSIGN_OR_RETURN(const JsonValue parameters, FindParameters(config));
  CHORUS_ASSIGN_OR_RETURN(rope.type, ReadType(parameters));
  CHORUS_RETURN_IF_ERROR(ReadTheta(config, parameters, &rope));
  CHORUS_RETURN_IF_ERROR(CheckPartial(config["partial_rotary_factor"]));
  CHORUS_RETURN_IF_ERROR(CheckPartial(parameters["partial_rotary_factor"]));
  if (rope.type == RopeType::kDefault) return rope;
  // A value beside the parameters goes before one among them, which goes before the default.
  constexpr char kOriginal[] = "original_max_position_embeddings";
  rope.original_max_position = max_positions;
  for (const JsonValue& original : {parameters[kOriginal], config[kOriginal]}) {
    if (original.absent()) continue;
    CHORUS_ASSIGN_OR_RETURN(rope.original_max_position, original.Integer(1, int64_t{1} << 31));
  }
  CHORUS_RETURN_IF_ERROR(ReadFactor(parameters, max_positions, &rope));
  if (rope.type == RopeType::kLlama3) CHORUS_RETURN_IF_ERROR(ReadLlama3(parameters, &rope));
  if (rope.type == RopeType::kYarn) CHORUS_RETURN_IF_ERROR(ReadYarn(parameters, &rope));
  return rope;
}

RopeFrequencies ComputeRope(const RopeConfig& rope, int32_t head_dim) {
  RopeFrequencies result;
  for (int32_t i = 0; i < head_dim; i += 2) {
    result.inv_freq.push_back(1.0f / WaveOf(rope, head_dim, i));
  }
  switch (rope.type) {
    case RopeType::kDefault:
      break;
    case RopeType::kLinear:
      ScaleLinear(rope, &result.inv_freq);
      break;
    case RopeType::kLlama3:
      ScaleLlama3(rope, &result.inv_freq);
      break;
    case RopeType::kYarn:
      ScaleYarn(rope, head_dim, &result.inv_freq);
      result.attention_scaling = YarnAttentionScaling(rope);
      break;
  }
  return result;
}

}  // namespace chorus::engine
