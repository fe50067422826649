// What ReadPeftAdapter makes of adapters that it accepts.
#include "engine/adapters/peft_reader.h"

#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/adapters/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/adapter_builder.h"

namespace chorus::engine {
namespace {

using test::AdapterFiles;
using test::BuildAdapter;
using test::BuildOptions;
using test::PeftName;
using test::ReadAdapter;
using test::TinyModel;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kAllLinears = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                              "gate_proj", "up_proj", "down_proj"};

// Gives the module's tensors another rank.
void SetRank(AdapterFiles& files, const ModelConfig& model, int layer, const std::string& linear,
             int rank) {
  const AdapterFiles other = BuildAdapter(model, {.targets = {linear}, .rank = rank});
  for (const char* part : {"lora_A.weight", "lora_B.weight"}) {
    const std::string name = PeftName(layer, linear, part);
    files.tensor(name) = AdapterFiles(other).tensor(name);
  }
}

TEST(PeftReaderTest, ReadsAllSevenLinearsInOrder) {
  const ModelConfig model = TinyModel();
  const auto spec = ReadAdapter(BuildAdapter(model, {.targets = kAllLinears}), model);
  ASSERT_TRUE(spec.ok()) << spec.status();
  ASSERT_EQ(spec->modules.size(), 21u);
  for (size_t i = 0; i < spec->modules.size(); ++i) {
    const AdapterModule& module = spec->modules[i];
    EXPECT_EQ(module.layer, static_cast<int>(i / 7));
    EXPECT_EQ(module.module, static_cast<int>(i % 7));
    EXPECT_EQ(module.rank, 4);
    EXPECT_EQ(module.scale, 2.0f);
    const auto shape = model.linear(module.module);
    EXPECT_EQ(module.a.bytes, static_cast<uint64_t>(4 * shape.inputs * 4));
    EXPECT_EQ(module.b.bytes, static_cast<uint64_t>(4 * shape.outputs * 4));
    EXPECT_FALSE(module.bias.has_value());
  }
  EXPECT_EQ(spec->max_rank(), 4);
  EXPECT_THAT(spec->warnings, IsEmpty());
}

TEST(PeftReaderTest, SpansPointAtTheTensorsBytes) {
  const ModelConfig model = TinyModel();
  for (const char* dtype : {"F32", "F16", "BF16"}) {
    AdapterFiles files = BuildAdapter(model, {.dtype = dtype, .lora_bias = true});
    const auto spec = ReadAdapter(files, model);
    ASSERT_TRUE(spec.ok()) << spec.status();
    const std::string file = files.tensor_file();
    for (const AdapterModule& module : spec->modules) {
      const std::string linear = module.module == kernels::kQ ? "q_proj" : "v_proj";
      const auto bytes = [&](const TensorSpan& span) {
        return file.substr(span.offset, span.bytes);
      };
      EXPECT_EQ(bytes(module.a),
                files.tensor(PeftName(module.layer, linear, "lora_A.weight")).bytes);
      EXPECT_EQ(bytes(module.b),
                files.tensor(PeftName(module.layer, linear, "lora_B.weight")).bytes);
      ASSERT_TRUE(module.bias.has_value());
      EXPECT_EQ(bytes(*module.bias),
                files.tensor(PeftName(module.layer, linear, "lora_B.bias")).bytes);
    }
  }
}

TEST(PeftReaderTest, ScaleIsAlphaOverRankOrItsRoot) {
  const ModelConfig model = TinyModel();
  AdapterFiles files = BuildAdapter(model, {.rank = 6, .alpha = 9.0});
  EXPECT_EQ(ReadAdapter(files, model)->modules[0].scale, 1.5f);
  files.config["use_rslora"] = true;
  const auto spec = ReadAdapter(files, model);
  EXPECT_TRUE(spec->use_rslora);
  EXPECT_EQ(spec->modules[0].scale, static_cast<float>(9.0 / std::sqrt(6.0)));
}

TEST(PeftReaderTest, PatternsSetRankAndAlphaPerModule) {
  const ModelConfig model = TinyModel();
  AdapterFiles files = BuildAdapter(model);
  files.config["rank_pattern"] = {{"layers.1.self_attn.q_proj", 2}, {"q_proj", 8}};
  files.config["alpha_pattern"] = {{"^model.layers.2.*v_proj", 1.5}};
  SetRank(files, model, 0, "q_proj", 8);
  SetRank(files, model, 1, "q_proj", 2);
  SetRank(files, model, 2, "q_proj", 8);
  const auto spec = ReadAdapter(files, model);
  ASSERT_TRUE(spec.ok()) << spec.status();
  std::vector<int> ranks;
  std::vector<double> alphas;
  for (const AdapterModule& module : spec->modules) {
    ranks.push_back(module.rank);
    alphas.push_back(module.alpha);
  }
  EXPECT_THAT(ranks, ElementsAre(8, 4, 2, 4, 8, 4));
  EXPECT_THAT(alphas, ElementsAre(8, 8, 8, 8, 8, 1.5));
}

TEST(PeftReaderTest, FirstPatternInFileOrderWins) {
  const ModelConfig model = TinyModel();
  AdapterFiles files = BuildAdapter(model);
  files.config["alpha_pattern"] = {{"q_proj", 4.0}, {"layers.0.self_attn.q_proj", 2.0}};
  EXPECT_EQ(ReadAdapter(files, model)->modules[0].alpha, 4.0);
  files.config["alpha_pattern"] = {{"layers.0.self_attn.q_proj", 2.0}, {"q_proj", 4.0}};
  EXPECT_EQ(ReadAdapter(files, model)->modules[0].alpha, 2.0);
}

TEST(PeftReaderTest, ReadsPartialTargets) {
  const ModelConfig model = TinyModel();
  AdapterFiles files = BuildAdapter(model);
  for (int layer : {0, 2}) {
    for (const char* linear : {"q_proj", "v_proj"}) {
      files.Remove(PeftName(layer, linear, "lora_A.weight"));
      files.Remove(PeftName(layer, linear, "lora_B.weight"));
    }
  }
  const Json configs[] = {
      {{"layers_to_transform", 1}},
      {{"layers_to_transform", {1}}, {"layers_pattern", "layers"}},
      {{"layers_to_transform", {1}}, {"layers_pattern", {"h", "layers"}}},
      {{"target_modules", "model\\.layers\\.1\\.self_attn\\.[qv]_proj"}},
      {{"target_modules", {"layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"}}},
      {{"exclude_modules", ".*layers\\.[02]\\..*"}},
      {{"target_modules", "ALL-linear"},
       {"exclude_modules", ".*\\.(0|2)\\..*|.*(k|o|gate|up|down)_proj"}},
  };
  for (const Json& config : configs) {
    AdapterFiles changed = files;
    changed.config.update(config);
    const auto spec = ReadAdapter(changed, model);
    ASSERT_TRUE(spec.ok()) << config << ": " << spec.status();
    ASSERT_EQ(spec->modules.size(), 2u) << config;
    EXPECT_EQ(spec->modules[0].layer, 1);
  }
}

TEST(PeftReaderTest, WarnsOfWhatIsLegalButOdd) {
  ModelConfig model = TinyModel();
  AdapterFiles files = BuildAdapter(model, {.alpha = 0.0});
  files.config["base_model_name_or_path"] = "somebody/else";
  files.config["alpha_pattern"] = {{"layers.1.self_attn.v_proj", -1}};
  const auto spec = ReadAdapter(files, model);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(
      spec->warnings,
      ElementsAre("made for base model \"somebody/else\", served is \"tiny\"",
                  "alpha is 0 (no effect) in 5 of 6 modules, first self_attn.q_proj of "
                  "layer 0",
                  "alpha is negative in 1 of 6 modules, first self_attn.v_proj of layer 1"));
  const auto huge = ReadAdapter(BuildAdapter(model, {.scale = 100.0f}), model);
  ASSERT_EQ(huge->warnings.size(), 1u);
  EXPECT_THAT(huge->warnings[0], HasSubstr("so large that activations may overflow in 6 of 6"));
}

// By the grammar of adapter_digest.h, written down a second time: that of an adapter that is not
// activated must stay what it was.
TEST(PeftReaderTest, TheInvocationIsPartOfTheDigestAndNothingElseChanges) {
  const ModelConfig model = TinyModel();
  AdapterFiles files = BuildAdapter(model, {.targets = {"v_proj"}, .rank = 2, .alpha = 0.5});
  std::map<std::string, std::string> tensors;
  for (const test::FileTensor& tensor : files.tensors) {
    tensors[tensor.name] = absl::StrCat(tensor.name, "\n", tensor.dtype, "\n",
                                        absl::StrJoin(tensor.shape, "x"), "\n", tensor.bytes);
  }
  std::string plain = "chorus adapter 1\n";
  for (const auto& [name, text] : tensors) plain += text;
  plain += "\n[";
  for (int layer = 0; layer < model.layers; ++layer) {
    absl::StrAppend(&plain, layer == 0 ? "" : ",", R"({"alpha":0.5,"bias":false,"module":"layers.)",
                    layer, R"(.self_attn.v_proj","rank":2,"rslora":false})");
  }
  plain += "]";
  const auto digest_with = [&](const Json& invocation) {
    files.config["alora_invocation_tokens"] = invocation;
    const auto spec = ReadAdapter(files, model);
    EXPECT_TRUE(spec.ok()) << spec.status();
    return spec->digest.Hex();
  };
  EXPECT_EQ(digest_with(nullptr), Sha256Hex(plain));
  EXPECT_EQ(digest_with({5}), Sha256Hex(plain + "\n{\"alora_invocation_tokens\":[5]}"));
  EXPECT_EQ(digest_with({1, 2, 11}), Sha256Hex(plain + "\n{\"alora_invocation_tokens\":[1,2,11]}"));
  files.config.erase("alora_invocation_tokens");
  EXPECT_EQ(ReadAdapter(files, model)->digest.Hex(), Sha256Hex(plain));
}

TEST(PeftReaderTest, AnInvocationIsAnyIdsOfTheVocabulary) {
  const ModelConfig model = TinyModel();
  AdapterFiles files = BuildAdapter(model);
  EXPECT_THAT(ReadAdapter(files, model)->invocation, IsEmpty());
  std::vector<int32_t> longest(256, 3);
  longest.front() = 0;
  longest.back() = model.vocabulary - 1;
  files.config["alora_invocation_tokens"] = longest;
  const auto spec = ReadAdapter(files, model);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->invocation, longest);
  longest.back() = model.vocabulary;
  files.config["alora_invocation_tokens"] = longest;
  EXPECT_THAT(std::string(ReadAdapter(files, model).status().message()),
              HasSubstr("adapter_config.json: alora_invocation_tokens: expected token ids below"));
}

TEST(PeftReaderTest, UnknownFieldsMayBeEmpty) {
  const ModelConfig model = TinyModel();
  AdapterFiles files = BuildAdapter(model);
  files.config["new_in_peft_0_99"] = nullptr;
  files.config["another"] = false;
  files.config["a_number"] = 0;
  files.config["a_text"] = "";
  files.config["a_list"] = Json::array();
  files.config["an_object"] = Json::object();
  // What PEFT writes for a config without task_type.
  files.config["auto_mapping"] = {{"base_model_class", "LlamaForCausalLM"}};
  files.config["megatron_core"] = "megatron.core";
  EXPECT_TRUE(ReadAdapter(files, model).ok());
}

TEST(PeftReaderTest, AbsentFieldsHavePeftsDefaults) {
  const ModelConfig model = TinyModel();
  AdapterFiles files = BuildAdapter(model, {.rank = 8});
  files.config = {{"peft_type", "LORA"}};
  const auto spec = ReadAdapter(files, model);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->modules[0].rank, 8);
  EXPECT_EQ(spec->modules[0].scale, 1.0f);
}

}  // namespace
}  // namespace chorus::engine
