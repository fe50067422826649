#include "tests/support/golden.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <utility>

#include "engine/model/byte_source.h"
#include "engine/model/safetensors.h"
#include "kernels/check.h"
#include "tests/support/counter_hash.h"
#include "tests/support/safetensors_file.h"

namespace chorus::test {
namespace {

using engine::Json;

std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  CHORUS_CHECK(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string DataDir() {
  const char* const dir = std::getenv("CHORUS_GOLDEN_DIR");
  return dir != nullptr ? dir : CHORUS_SOURCE_DIR "/tests/golden/data";
}

// FNV-1a of 64 bits over the tensor's name, xor the seed of its model or adapter.
uint64_t SeedOf(const std::string& name, uint64_t seed) {
  uint64_t state = 0xCBF29CE484222325u;
  for (const char c : name) state = (state ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  return state ^ seed;
}

// As tests/golden/manifest.py: offset + scale · hash, rounded to the type of the file. The scale is
// a power of two, so only the sum rounds.
std::vector<FileTensor> Materialise(const Json& manifest, const std::optional<WideHeads>& wide) {
  const auto seed = manifest.at("seed").get<uint64_t>();
  const auto dtype = manifest.at("dtype").get<std::string>();
  std::vector<FileTensor> result;
  for (const Json& line : manifest.at("tensors")) {
    FileTensor tensor{line.at(0), dtype, line.at(1), {}};
    int64_t count = 1;
    for (const uint64_t size : tensor.shape) count *= static_cast<int64_t>(size);
    std::vector<float> values =
        CounterValues(SeedOf(tensor.name, seed), count, line.at(2).get<float>());
    const auto offset = line.at(3).get<float>();
    for (float& value : values) {
      value += offset;
      if (dtype == "F16") value = static_cast<float>(static_cast<_Float16>(value));
    }
    if (wide.has_value()) wide->Widen(tensor.name, &tensor.shape, &values);
    tensor.bytes = EncodeValues(values, dtype);
    result.push_back(std::move(tensor));
  }
  return result;
}

class ExpectedTensors {
 public:
  explicit ExpectedTensors(const std::string& path) : bytes_(ReadText(path)) {
    const auto file = engine::BorrowBytes(std::as_bytes(std::span(bytes_)));
    auto entries = engine::ReadSafetensorsHeader(*file, path);
    CHORUS_CHECK(entries.ok());
    for (engine::SafetensorsEntry& entry : *entries) entries_[entry.name] = std::move(entry);
  }

  template <class T>
  std::vector<T> Get(const std::string& name) const {
    const engine::SafetensorsEntry& entry = entries_.at(name);
    CHORUS_CHECK(entry.dtype == (std::is_same_v<T, float> ? "F32" : "I32"));
    std::vector<T> values(entry.bytes / sizeof(T));
    std::memcpy(values.data(), bytes_.data() + entry.offset, entry.bytes);
    return values;
  }

 private:
  const std::string bytes_;
  std::map<std::string, engine::SafetensorsEntry> entries_;
};

GoldenExpectation MakeExpectation(const Json& json, const ExpectedTensors& tensors,
                                  const std::string& key, const std::string& kind) {
  GoldenExpectation result;
  const Json& greedy = json.at("greedy_" + kind);
  greedy.at("tokens").get_to(result.greedy);
  greedy.at("margins").get_to(result.margins);
  const std::vector<int32_t> ids = tensors.Get<int32_t>(key + "." + kind + ".ids");
  const std::vector<float> logits = tensors.Get<float>(key + "." + kind + ".logits");
  const std::vector<float> lse = tensors.Get<float>(key + "." + kind + ".lse");
  const auto positions = json.at("positions").get<std::vector<int32_t>>();
  CHORUS_CHECK_EQ(lse.size(), positions.size());
  const auto top = static_cast<std::ptrdiff_t>(ids.size() / positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    const std::ptrdiff_t from = static_cast<std::ptrdiff_t>(i) * top;
    result.positions.push_back({positions[i],
                                {ids.begin() + from, ids.begin() + from + top},
                                {logits.begin() + from, logits.begin() + from + top},
                                lse[i]});
  }
  return result;
}

}  // namespace

Golden::Golden(const std::string& name, GoldenHeads heads) {
  const std::string path = DataDir() + "/" + name;
  auto content = engine::ParseStrictJson(ReadText(path + ".json"), name);
  CHORUS_CHECK(content.ok());
  content_ = *std::move(content);
  if (heads == GoldenHeads::kWide) wide_heads_.emplace(content_.at("model").at("config"));
  const ExpectedTensors tensors(path + ".safetensors");
  for (const Json& json : content_.at("cases")) {
    const std::string key = std::to_string(cases_.size());
    GoldenCase one;
    if (!json.at("adapter").is_null()) json.at("adapter").get_to(one.adapter);
    json.at("prompt_tokens").get_to(one.prompt_tokens);
    json.at("tokens").get_to(one.tokens);
    if (!one.adapter.empty()) one.active_from = 0;
    if (const auto from = json.find("active_from"); from != json.end()) {
      one.active_from.reset();
      if (!from->is_null()) one.active_from = from->get<int64_t>();
    }
    json.at("transformers_bf16_rms").get_to(one.transformers_bf16_rms);
    one.f32 = MakeExpectation(json, tensors, key, "f32");
    one.bf16 = MakeExpectation(json, tensors, key, "bf16");
    cases_.push_back(std::move(one));
  }
}

std::vector<std::string> Golden::adapters() const {
  std::vector<std::string> names;
  for (const auto& [name, manifest] : content_.at("adapters").items()) names.push_back(name);
  return names;
}

void Golden::WriteModel(const std::string& dir) const {
  const Json& model = content_.at("model");
  const Json& config = model.at("config");
  WriteFile(dir + "/config.json",
            (wide_heads_.has_value() ? wide_heads_->Config(config) : config).dump(2));
  if (model.contains("generation_config")) {
    WriteFile(dir + "/generation_config.json", model.at("generation_config").dump(2));
  }
  const std::vector<FileTensor> tensors = Materialise(model, wide_heads_);
  const auto shards = model.at("shards").get<size_t>();
  if (shards == 1) return WriteFile(dir + "/model.safetensors", SafetensorsBytes(tensors));
  Json map = Json::object();
  for (size_t shard = 0; shard < shards; ++shard) {
    const std::string file = "model-" + std::to_string(shard + 1) + ".safetensors";
    std::vector<FileTensor> part;
    for (size_t i = shard; i < tensors.size(); i += shards) {
      map[tensors[i].name] = file;
      part.push_back(tensors[i]);
    }
    WriteFile(dir + "/" + file, SafetensorsBytes(part));
  }
  WriteFile(dir + "/model.safetensors.index.json",
            Json{{"metadata", Json::object()}, {"weight_map", map}}.dump(2));
}

Golden::AdapterFiles Golden::MakeAdapter(const std::string& name) const {
  const Json& manifest = content_.at("adapters").at(name);
  return {manifest.at("config").get<std::string>(),
          SafetensorsBytes(Materialise(manifest, wide_heads_))};
}

}  // namespace chorus::test
