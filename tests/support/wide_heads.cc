#include "tests/support/wide_heads.h"

#include <cmath>
#include <string_view>
#include <utility>

namespace chorus::test {
namespace {

using engine::Json;

constexpr uint64_t kTimes = 4;

bool Contains(const std::string& name, std::string_view part) {
  return name.find(part) != std::string::npos;
}

}  // namespace

WideHeads::WideHeads(const Json& config)
    : head_dim_(config.contains("head_dim") ? config.at("head_dim").get<uint64_t>()
                                            : config.at("hidden_size").get<uint64_t>() /
                                                  config.at("num_attention_heads").get<uint64_t>()),
      has_norms_(config.at("architectures").at(0) == "Qwen3ForCausalLM") {}

Json WideHeads::Config(Json config) const {
  config["head_dim"] = kTimes * head_dim_;
  Json& rope = config.contains("rope_parameters") ? config["rope_parameters"] : config;
  rope["rope_theta"] = std::pow(rope.value("rope_theta", 10000.0), double{kTimes});
  return config;
}

uint64_t WideHeads::Place(uint64_t column) const {
  const uint64_t head = column / head_dim_;
  const uint64_t d = column % head_dim_;
  const uint64_t half = head_dim_ / 2;
  return kTimes * head_dim_ * head + (d < half ? d : kTimes * half + d - half);
}

float WideHeads::ScaleOf(const std::string& name) const {
  if (Contains(name, "k_norm")) return 0.5f;
  return Contains(name, "q_proj") || (has_norms_ && Contains(name, "k_proj")) ? 2.0f : 1.0f;
}

void WideHeads::Widen(const std::string& name, std::vector<uint64_t>* shape,
                      std::vector<float>* values) const {
  const bool is_o = Contains(name, "o_proj");
  // What is multiplied by heads is wider by columns, what makes them by rows.
  const bool by_columns = is_o && shape->size() == 2 && !Contains(name, "lora_B");
  const bool by_rows = Contains(name, "self_attn.") && !is_o && !Contains(name, "lora_A");
  if (!by_columns && !by_rows) return;
  const uint64_t columns = shape->size() == 2 ? (*shape)[1] : 1;
  std::vector<float> wide(values->size() * kTimes);
  for (uint64_t i = 0; i < values->size(); ++i) {
    const uint64_t row = i / columns;
    const uint64_t column = i % columns;
    const uint64_t to =
        by_columns ? row * columns * kTimes + Place(column) : Place(row) * columns + column;
    wide[to] = ScaleOf(name) * (*values)[i];
  }
  (*shape)[by_columns ? 1 : 0] *= kTimes;
  *values = std::move(wide);
}

}  // namespace chorus::test
