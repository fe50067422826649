#include "tests/support/adapter_builder.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "engine/adapters/peft_reader.h"
#include "engine/adapters/tensor_values.h"
#include "kernels/check.h"
#include "tests/support/counter_hash.h"

namespace chorus::test {

using engine::Json;
using engine::ModelConfig;

namespace {

kernels::DType TypeNamed(const std::string& dtype) {
  if (dtype == "BF16") return kernels::DType::kBf16;
  return dtype == "F16" ? kernels::DType::kF16 : kernels::DType::kF32;
}

}  // namespace

Json SafetensorsHeader(const std::vector<FileTensor>& tensors) {
  Json header = Json::object();
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t offset = 0;
  for (const FileTensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  return header;
}

std::string SafetensorsFile(const std::string& header, const std::string& data) {
  const auto length = static_cast<uint64_t>(header.size());
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + data;
}

std::string SafetensorsFile(const std::vector<FileTensor>& tensors) {
  std::string header = SafetensorsHeader(tensors).dump();
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string data;
  for (const FileTensor& tensor : tensors) data += tensor.bytes;
  return SafetensorsFile(header, data);
}

std::string Elements(const std::string& dtype, uint64_t count,
                     const std::function<float(uint64_t)>& value) {
  std::vector<float> values(count);
  for (uint64_t i = 0; i < count; ++i) values[i] = value(i);
  const kernels::DType type = TypeNamed(dtype);
  std::string data(count * static_cast<uint64_t>(kernels::ByteSize(type)), '\0');
  engine::ConvertElements(std::as_bytes(std::span(values)), kernels::DType::kF32,
                          std::as_writable_bytes(std::span(data)), type);
  return data;
}

ModelConfig TinyModel() {
  ModelConfig model;
  model.name_or_path = "tiny";
  model.layers = 3;
  model.hidden = 64;
  model.intermediate = 112;
  model.heads = 4;
  model.kv_heads = 2;
  model.head_dim = 16;
  model.vocabulary = 97;
  return model;
}

FileTensor& AdapterFiles::tensor(const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const FileTensor& tensor) { return tensor.name == name; });
  CHORUS_CHECK(found != tensors.end());
  return *found;
}

void AdapterFiles::Remove(const std::string& name) {
  std::erase_if(tensors, [&](const FileTensor& tensor) { return tensor.name == name; });
}

std::string PeftName(int layer, const std::string& linear, const std::string& part) {
  const bool attention = linear.size() == 6;  // q_proj; the MLP's are longer
  return "base_model.model.model.layers." + std::to_string(layer) +
         (attention ? ".self_attn." : ".mlp.") + linear + "." + part;
}

AdapterFiles BuildAdapter(const ModelConfig& model, const BuildOptions& options) {
  AdapterFiles files;
  files.config = {{"base_model_name_or_path", model.name_or_path},
                  {"bias", "none"},
                  {"lora_alpha", options.alpha},
                  {"lora_bias", options.lora_bias},
                  {"peft_type", "LORA"},
                  {"r", options.rank},
                  {"target_modules", options.targets},
                  {"task_type", "CAUSAL_LM"}};
  uint64_t seed = options.seed << 32;
  const auto add = [&](int layer, const std::string& linear, const std::string& part,
                       const std::vector<uint64_t>& shape) {
    const uint64_t count = shape.size() == 1 ? shape[0] : shape[0] * shape[1];
    ++seed;
    files.tensors.push_back({PeftName(layer, linear, part), options.dtype, shape,
                             Elements(options.dtype, count, [&](uint64_t i) {
                               return options.scale * CounterValue(seed, i);
                             })});
  };
  for (int layer = 0; layer < model.layers; ++layer) {
    for (int m = 0; m < kernels::kNumLoraModules; ++m) {
      const std::string path = engine::kLinearNames[m];
      const std::string linear = path.substr(path.find('.') + 1);
      const auto& targets = options.targets;
      if (std::find(targets.begin(), targets.end(), linear) == targets.end()) continue;
      const auto shape = model.linear(static_cast<kernels::LoraModule>(m));
      const auto rank = static_cast<uint64_t>(options.rank);
      const auto outputs = static_cast<uint64_t>(shape.outputs);
      add(layer, linear, "lora_A.weight", {rank, static_cast<uint64_t>(shape.inputs)});
      add(layer, linear, "lora_B.weight", {outputs, rank});
      if (options.lora_bias) add(layer, linear, "lora_B.bias", {outputs});
    }
  }
  return files;
}

absl::StatusOr<engine::AdapterSpec> ReadAdapter(const std::string& config,
                                                const std::string& tensors,
                                                const ModelConfig& model) {
  return engine::ReadPeftAdapter(config, *Bytes(tensors), model);
}

absl::StatusOr<engine::AdapterSpec> ReadAdapter(const AdapterFiles& files,
                                                const ModelConfig& model) {
  return ReadAdapter(files.config_text(), files.tensor_file(), model);
}

std::unique_ptr<engine::ByteSource> Bytes(const std::string& text) {
  return engine::BorrowBytes(std::as_bytes(std::span(text)));
}

}  // namespace chorus::test
