#include "engine/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

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

absl::StatusOr<RopeType> ReadType(const JsonValue& scaling) {
  JsonValue type = scaling["rope_type"];
  if (type.absent()) type = scaling["type"];
  if (type.absent()) return RopeType::kDefault;
  CHORUS_ASSIGN_OR_RETURN(const std::string name, type.String());
  if (name == "default") return RopeType::kDefault;
  if (name == "linear") return RopeType::kLinear;
  if (name == "llama3") return RopeType::kLlama3;
  if (name == "yarn") return RopeType::kYarn;
  return Refuse(Reason::kModelUnsupported, type.place(), "default, linear, llama3 or yarn",
                type.Shown());
}

// The dimension whose wavelength makes `rotations` turns over the original context.
double CorrectionDimension(double rotations, double dim, double base, double positions) {
  return dim * std::log(positions / (rotations * 2.0 * std::numbers::pi)) / (2.0 * std::log(base));
}

double YarnScale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

void ScaleLlama3(const RopeConfig& rope, std::vector<float>* inv_freq) {
  const double context = static_cast<double>(rope.original_max_position);
  const double low_wavelength = context / rope.low_freq_factor;
  const double high_wavelength = context / rope.high_freq_factor;
  for (float& frequency : *inv_freq) {
    const double wavelength = 2.0 * std::numbers::pi / frequency;
    if (wavelength < high_wavelength) continue;
    if (wavelength > low_wavelength) {
      frequency = static_cast<float>(frequency / rope.factor);
      continue;
    }
    const double smooth = (context / wavelength - rope.low_freq_factor) /
                          (rope.high_freq_factor - rope.low_freq_factor);
    frequency = static_cast<float>((1.0 - smooth) * frequency / rope.factor + smooth * frequency);
  }
}

void ScaleYarn(const RopeConfig& rope, int32_t head_dim, std::vector<float>* inv_freq) {
  const double positions = static_cast<double>(rope.original_max_position);
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
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double frequency = (*inv_freq)[i];
    (*inv_freq)[i] = static_cast<float>(frequency / rope.factor * ramp + frequency * (1.0 - ramp));
  }
}

}  // namespace

absl::StatusOr<RopeConfig> ReadRopeConfig(const JsonValue& config, int64_t max_positions) {
  RopeConfig rope;
  JsonValue scaling = config["rope_parameters"];
  if (scaling.absent()) scaling = config["rope_scaling"];
  if (!scaling.absent() && !scaling.is_object()) {
    return Refuse(Reason::kModelUnsupported, scaling.place(), "an object", scaling.Shown());
  }
  CHORUS_RETURN_IF_ERROR(ReadNumber(config["rope_theta"], &rope.theta));
  CHORUS_RETURN_IF_ERROR(ReadNumber(scaling["rope_theta"], &rope.theta));
  CHORUS_ASSIGN_OR_RETURN(rope.type, ReadType(scaling));
  for (const JsonValue& partial :
       {config["partial_rotary_factor"], scaling["partial_rotary_factor"]}) {
    double factor = 1.0;
    CHORUS_RETURN_IF_ERROR(ReadNumber(partial, &factor));
    if (factor != 1.0) {
      return Refuse(Reason::kModelUnsupported, partial.place(), "1.0", partial.Shown());
    }
  }
  if (rope.type == RopeType::kDefault) return rope;

  rope.original_max_position = max_positions;
  for (const JsonValue& original :
       {scaling["original_max_position_embeddings"], config["original_max_position_embeddings"]}) {
    if (original.absent()) continue;
    CHORUS_ASSIGN_OR_RETURN(rope.original_max_position, original.Integer(1, int64_t{1} << 31));
  }
  if (rope.type == RopeType::kYarn && scaling["factor"].absent()) {
    rope.factor =
        static_cast<double>(max_positions) / static_cast<double>(rope.original_max_position);
  } else {
    CHORUS_ASSIGN_OR_RETURN(rope.factor, scaling["factor"].Number());
  }
  if (rope.factor < 1.0) {
    return Refuse(Reason::kModelUnsupported, scaling["factor"].place(), "at least 1",
                  scaling["factor"].Shown());
  }
  CHORUS_RETURN_IF_ERROR(ReadNumber(scaling["low_freq_factor"], &rope.low_freq_factor));
  CHORUS_RETURN_IF_ERROR(ReadNumber(scaling["high_freq_factor"], &rope.high_freq_factor));
  CHORUS_RETURN_IF_ERROR(ReadNumber(scaling["attention_factor"], &rope.attention_factor));
  CHORUS_RETURN_IF_ERROR(ReadNumber(scaling["mscale"], &rope.mscale));
  CHORUS_RETURN_IF_ERROR(ReadNumber(scaling["mscale_all_dim"], &rope.mscale_all_dim));
  if (scaling["beta_fast"].truthy()) {
    CHORUS_RETURN_IF_ERROR(ReadNumber(scaling["beta_fast"], &rope.beta_fast));
  }
  if (scaling["beta_slow"].truthy()) {
    CHORUS_RETURN_IF_ERROR(ReadNumber(scaling["beta_slow"], &rope.beta_slow));
  }
  if (!scaling["truncate"].absent()) {
    CHORUS_ASSIGN_OR_RETURN(rope.truncate, scaling["truncate"].Bool());
  }
  return rope;
}

RopeFrequencies ComputeRope(const RopeConfig& rope, int32_t head_dim) {
  RopeFrequencies result;
  const float base = static_cast<float>(rope.theta);
  for (int32_t i = 0; i < head_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(head_dim);
    result.inv_freq.push_back(1.0f / std::pow(base, exponent));
  }
  if (rope.type == RopeType::kLinear) {
    for (float& frequency : result.inv_freq) frequency /= static_cast<float>(rope.factor);
  } else if (rope.type == RopeType::kLlama3) {
    ScaleLlama3(rope, &result.inv_freq);
  } else if (rope.type == RopeType::kYarn) {
    ScaleYarn(rope, head_dim, &result.inv_freq);
    double scaling = YarnScale(rope.factor, 1.0);
    if (rope.attention_factor.has_value()) {
      scaling = *rope.attention_factor;
    } else if (rope.mscale.value_or(0.0) != 0.0 && rope.mscale_all_dim.value_or(0.0) != 0.0) {
      scaling = YarnScale(rope.factor, *rope.mscale) / YarnScale(rope.factor, *rope.mscale_all_dim);
    }
    result.attention_scaling = static_cast<float>(scaling);
  }
  return result;
}

}  // namespace chorus::engine
