// Builds PEFT adapters in memory, right ones and wrong ones: a safetensors file from a list of
// tensors, and an adapter_config.json that fits. Values come from the counter hash.
#ifndef CHORUS_TESTS_SUPPORT_ADAPTER_BUILDER_H_
#define CHORUS_TESTS_SUPPORT_ADAPTER_BUILDER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_spec.h"
#include "engine/json/strict_json.h"
#include "engine/model/byte_source.h"
#include "engine/model/model_config.h"
#include "tests/support/safetensors_file.h"

namespace chorus::test {

// The header that a correct writer makes: offsets in the order of the list.
engine::Json SafetensorsHeader(const std::vector<FileTensor>& tensors);
// length · header · data, whatever the header says.
std::string SafetensorsFile(const std::string& header, const std::string& data);
std::string SafetensorsFile(const std::vector<FileTensor>& tensors);

// Elements of a tensor: value(index) converted to `dtype` (F32, F16 or BF16).
std::string Elements(const std::string& dtype, uint64_t count,
                     const std::function<float(uint64_t)>& value);

// 3 layers, hidden 64, intermediate 112, 4 heads and 2 KV heads of 16: no two linears alike where
// it matters.
engine::ModelConfig TinyModel();

// An adapter before it becomes two files: change what a test wants wrong.
struct AdapterFiles {
  engine::Json config;
  std::vector<FileTensor> tensors;

  std::string config_text() const { return config.dump(2); }
  std::string tensor_file() const { return SafetensorsFile(tensors); }
  FileTensor& tensor(const std::string& name);  // REQUIRES: it is there
  void Remove(const std::string& name);
};

struct BuildOptions {
  std::vector<std::string> targets = {"q_proj", "v_proj"};
  int rank = 4;
  double alpha = 8.0;
  std::string dtype = "F32";
  bool lora_bias = false;
  uint64_t seed = 1;
  float scale = 0.05f;  // of the values
};

// "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"
std::string PeftName(int layer, const std::string& linear, const std::string& part);

// A correct adapter with the targets in every layer of the model.
AdapterFiles BuildAdapter(const engine::ModelConfig& model, const BuildOptions& options = {});

// ReadPeftAdapter on the two files.
absl::StatusOr<engine::AdapterSpec> ReadAdapter(const AdapterFiles& files,
                                                const engine::ModelConfig& model);
absl::StatusOr<engine::AdapterSpec> ReadAdapter(const std::string& config,
                                                const std::string& tensors,
                                                const engine::ModelConfig& model);

// A ByteSource over text. `text` must outlive it.
std::unique_ptr<engine::ByteSource> Bytes(const std::string& text);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_ADAPTER_BUILDER_H_
