#include "tests/support/small_adapter.h"

#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/counter_hash.h"

namespace chorus::test {
namespace {

constexpr int kLayers = 2;
constexpr int kHidden = 32;

}  // namespace

engine::ModelConfig SmallModel() {
  engine::ModelConfig model;
  model.layers = kLayers;
  model.hidden = kHidden;
  model.intermediate = 64;
  model.heads = 2;
  model.kv_heads = 1;
  model.head_dim = 16;
  model.vocabulary = 64;
  model.max_positions = 128;
  model.rms_norm_eps = 1e-5f;
  return model;
}

kernels::PoolView SmallGeometry() {
  kernels::PoolView pool;
  pool.num_slabs = kLayers;
  pool.kv_heads = 1;
  pool.head_dim = 16;
  pool.dtype = kernels::DType::kF32;
  return pool;
}

SmallAdapter SmallAdapter::Make(uint64_t seed, int rank) {
  SmallAdapter adapter;
  adapter.config = absl::StrCat(
      R"({"peft_type":"LORA","task_type":"CAUSAL_LM","r":)", rank,
      R"(,"lora_alpha":8,"target_modules":["q_proj"],"base_model_name_or_path":"small"})");
  std::string header;
  std::string data;
  for (int layer = 0; layer < kLayers; ++layer) {
    for (const bool is_a : {true, false}) {
      const std::string shape = is_a ? absl::StrCat("[", rank, ",", kHidden, "]")
                                     : absl::StrCat("[", kHidden, ",", rank, "]");
      const size_t begin = data.size();
      const std::vector<float> values = CounterValues(
          seed * 4 + static_cast<uint64_t>(layer * 2 + is_a), int64_t{rank} * kHidden, 0.1f);
      data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
      absl::StrAppend(&header, header.empty() ? "{" : ",", "\"base_model.model.model.layers.",
                      layer, ".self_attn.q_proj.lora_", is_a ? "A" : "B",
                      R"(.weight":{"dtype":"F32","shape":)", shape, R"(,"data_offsets":[)", begin,
                      ",", data.size(), "]}");
    }
  }
  absl::StrAppend(&header, "}");
  while (header.size() % 8 != 0) header += ' ';
  const uint64_t length = header.size();
  adapter.tensors.assign(reinterpret_cast<const char*>(&length), sizeof(length));
  absl::StrAppend(&adapter.tensors, header, data);
  return adapter;
}

}  // namespace chorus::test
