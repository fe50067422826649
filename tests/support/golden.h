// Golden: one model's expected logits, as tests/golden/make_goldens.py recorded them, and the model
// and adapter files they belong to, made again from names, shapes and seeds.
#ifndef CHORUS_TESTS_SUPPORT_GOLDEN_H_
#define CHORUS_TESTS_SUPPORT_GOLDEN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/json/strict_json.h"
#include "kernels/device/dtype.h"
#include "tests/support/wide_heads.h"

namespace chorus::test {

// What is expected in one compute type.
struct GoldenExpectation {
  struct Position {
    int32_t position = 0;
    std::vector<int32_t> ids;   // of the best logits, the best first
    std::vector<float> logits;  // theirs
    float lse = 0.0f;           // log-sum-exp over the whole vocabulary
  };
  std::vector<Position> positions;  // ascending
  // For each generated token: what the reference draws there, and how far it is ahead.
  std::vector<int32_t> greedy;
  std::vector<float> margins;
};

struct GoldenCase {
  std::string adapter;  // empty: the base model
  size_t prompt_tokens = 0;
  // The first position that the adapter computes, as PEFT found it; none: it is never invoked.
  std::optional<int64_t> active_from;
  std::vector<int32_t> tokens;  // prompt and what followed it
  double transformers_bf16_rms = 0.0;
  GoldenExpectation f32, bf16;

  const GoldenExpectation& expected(kernels::DType dtype) const {
    return dtype == kernels::DType::kBf16 ? bf16 : f32;
  }
};

// The heads of the files that are made: as recorded, or wider ones that compute the same.
enum class GoldenHeads { kRecorded, kWide };

class Golden {
 public:
  // NAME.json and .safetensors of tests/golden/data, or of the directory that the environment's
  // CHORUS_GOLDEN_DIR names; dies when they are not what they should be.
  explicit Golden(const std::string& name, GoldenHeads heads = GoldenHeads::kRecorded);

  const std::vector<GoldenCase>& cases() const { return cases_; }
  std::vector<std::string> adapters() const;

  // The tiny models: config.json, generation_config.json and weights, sharded or not.
  void WriteModel(const std::string& dir) const;
  // The models that are not made from seeds: SHA-256 of model.safetensors.
  std::string model_sha256() const { return content_.at("model_sha256").get<std::string>(); }

  struct AdapterFiles {
    std::string config;   // adapter_config.json, as PEFT wrote it
    std::string tensors;  // adapter_model.safetensors
  };
  AdapterFiles MakeAdapter(const std::string& name) const;

 private:
  engine::Json content_;
  std::vector<GoldenCase> cases_;
  std::optional<WideHeads> wide_heads_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_GOLDEN_H_
