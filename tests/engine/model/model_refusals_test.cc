// Models that would be served wrongly are refused at start, by the name of the field.
#include <ostream>

#include "engine/model/model_config.h"
#include "engine/refusal.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/model/model_dir.h"

namespace chorus::test {
namespace {

using engine::Json;
using engine::Reason;
using ::testing::HasSubstr;

struct Refused {
  const char* name;
  Json fields;         // over LlamaConfig()
  const char* object;  // without "config.json: "
  const char* got;
  friend std::ostream& operator<<(std::ostream& out, const Refused& r) { return out << r.name; }
};

Json Rope(const Json& fields) { return {{"rope_scaling", fields}}; }

// A config of another class, `fields` on top.
Json Class(const std::string& name, const std::string& type, Json fields) {
  fields["architectures"] = {name};
  fields["model_type"] = type;
  return fields;
}

std::vector<Refused> ConfigRefusals() {
  const Json yarn = {{"type", "yarn"}, {"factor", 4.0}};
  const Json llama3 = {{"type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 64}};
  return {
      {"OtherArchitecture",
       {{"architectures", {"GemmaForCausalLM"}}},
       "architectures[0]",
       "GemmaForCausalLM"},
      {"NoArchitecture", {{"architectures", nullptr}}, "architectures", "null"},
      {"TwoArchitectures",
       {{"architectures", {"LlamaForCausalLM", "LlamaForCausalLM"}}},
       "architectures",
       "array of 2"},
      {"Classifier",
       {{"architectures", {"LlamaForSequenceClassification"}}},
       "architectures[0]",
       "LlamaForSequenceClassification"},
      {"TypeOfAnotherClass", {{"model_type", "mistral"}}, "model_type", "mistral"},
      {"OtherActivation", {{"hidden_act", "gelu"}}, "hidden_act", "gelu"},
      {"OtherActivationElsewhere", {{"hidden_activation", "relu2"}}, "hidden_activation", "relu2"},
      {"Gptq",
       {{"quantization_config", {{"quant_method", "gptq"}, {"bits", 4}}}},
       "quantization_config",
       "gptq"},
      {"Fp8", {{"quantization_config", {{"quant_method", "fp8"}}}}, "quantization_config", "fp8"},
      {"Compressed",
       {{"compression_config", {{"quant_method", "compressed-tensors"}}}},
       "compression_config",
       "compressed-tensors"},
      {"Experts", {{"num_local_experts", 8}}, "num_local_experts", "8"},
      {"AttentionCap", {{"attn_logit_softcapping", 50.0}}, "attn_logit_softcapping", "50"},
      {"LogitCap", {{"final_logit_softcapping", 30.0}}, "final_logit_softcapping", "30"},
      {"LogitScale", {{"logit_scale", 0.0625}}, "logit_scale", "0.0625"},
      {"ResidualMultiplier", {{"residual_multiplier", 0.22}}, "residual_multiplier", "0.22"},
      {"TrainedInSlices", {{"pretraining_tp", 2}}, "pretraining_tp", "2"},
      {"PartialRotation", {{"partial_rotary_factor", 0.5}}, "partial_rotary_factor", "0.5"},
      {"OtherType", {{"torch_dtype", "float8_e4m3fn"}}, "torch_dtype", "float8_e4m3fn"},
      {"NoLayers", {{"num_hidden_layers", 0}}, "num_hidden_layers", "0"},
      {"NegativeSize", {{"hidden_size", -64}}, "hidden_size", "-64"},
      {"HugeSize", {{"vocab_size", int64_t{1} << 40}}, "vocab_size", "1099511627776"},
      {"SizeWithPoint", {{"hidden_size", 64.0}}, "hidden_size", "64.0"},
      {"SizeIsText", {{"intermediate_size", "112"}}, "intermediate_size", "112"},
      {"HeadsDoNotDivide", {{"num_key_value_heads", 3}}, "num_key_value_heads", "3"},
      {"WidthDoesNotDivide", {{"hidden_size", 66}}, "hidden_size", "66"},
      {"OddHead", {{"head_dim", 12}}, "head_dim", "12"},
      {"WideHead", {{"head_dim", 4096}}, "head_dim", "4096"},
      {"NoEpsilon", {{"rms_norm_eps", 0.0}}, "rms_norm_eps", "0.0"},
      {"FlagIsText", {{"tie_word_embeddings", "yes"}}, "tie_word_embeddings", "yes"},
      {"EndBeyondVocabulary", {{"eos_token_id", 96}}, "eos_token_id", "96"},
      {"EndIsText", {{"eos_token_id", {2, "</s>"}}}, "eos_token_id[1]", "</s>"},
      {"RopeOfAnotherKind", Rope({{"type", "dynamic"}, {"factor", 2.0}}), "rope_scaling.type",
       "dynamic"},
      {"LongRope", Rope({{"rope_type", "longrope"}, {"long_factor", {1.0, 2.0}}}),
       "rope_scaling.long_factor", "array"},
      {"RopeIsText", {{"rope_scaling", "linear"}}, "rope_scaling", "linear"},
      {"RopeBySectionsOfImages", Rope({{"type", "default"}, {"mrope_section", {16, 24, 24}}}),
       "rope_scaling.mrope_section", "array"},
      {"LinearWithoutFactor", Rope({{"type", "linear"}}), "rope_scaling.factor", "nothing"},
      {"FactorBelowOne", Rope({{"type", "linear"}, {"factor", 0.5}}), "rope_scaling.factor", "0.5"},
      {"Llama3WithoutBounds", Rope(Without(llama3, "low_freq_factor")),
       "rope_scaling.low_freq_factor", "nothing"},
      {"Llama3BoundsCrossed", Rope(With(llama3, {{"high_freq_factor", 1.0}})),
       "rope_scaling.high_freq_factor", "1.0"},
      {"YarnBetaBelowZero", Rope(With(yarn, {{"beta_fast", -1.0}})), "rope_scaling.beta_fast",
       "-1"},
      {"NewSpellingOfAnotherKind",
       {{"rope_parameters", {{"rope_type", "dynamic"}, {"factor", 2.0}}}},
       "rope_parameters.rope_type",
       "dynamic"},
      {"NoTheta", {{"rope_theta", 0.0}}, "rope_theta", "0.0"},
      {"MistralWindowBites", Class("MistralForCausalLM", "mistral", {{"sliding_window", 128}}),
       "sliding_window", "128"},
      {"MistralWindowByDefault",
       Class("MistralForCausalLM", "mistral", {{"max_position_embeddings", 32768}}),
       "sliding_window", "4096"},
      {"QwenWindowBites",
       Class("Qwen2ForCausalLM", "qwen2",
             {{"use_sliding_window", true}, {"sliding_window", 128}, {"max_window_layers", 1}}),
       "sliding_window", "128"},
      {"QwenLayerTypesBite",
       Class("Qwen3ForCausalLM", "qwen3",
             {{"use_sliding_window", true},
              {"sliding_window", 128},
              {"layer_types", {"full_attention", "sliding_attention"}}}),
       "sliding_window", "128"},
      {"LayersOfAnotherKind",
       {{"layer_types", {"full_attention", "linear_attention"}}},
       "layer_types",
       "linear_attention"},
  };
}

class ConfigRefusalTest : public testing::TestWithParam<Refused> {};

TEST_P(ConfigRefusalTest, NamesTheFieldAndWhatItSaid) {
  const Refused& row = GetParam();
  const auto model = LoadConfig(With(LlamaConfig(), row.fields));
  ASSERT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument) << model.status();
  const auto refusal = engine::RefusalOf(model.status());
  ASSERT_TRUE(refusal.has_value()) << model.status();
  EXPECT_EQ(refusal->reason, Reason::kModelUnsupported) << model.status();
  EXPECT_EQ(refusal->object, std::string("config.json: ") + row.object);
  EXPECT_THAT(refusal->got, HasSubstr(row.got));
  EXPECT_FALSE(refusal->expected.empty());
}

INSTANTIATE_TEST_SUITE_P(ModelConfig, ConfigRefusalTest, testing::ValuesIn(ConfigRefusals()),
                         [](const auto& info) { return std::string(info.param.name); });

// The other side of the window rows above: windows that never bite are served.
TEST(SlidingWindowTest, WindowsThatDoNotBitePass) {
  const Json rows[] = {
      Class("MistralForCausalLM", "mistral", {{"sliding_window", nullptr}}),
      Class("MistralForCausalLM", "mistral", {{"sliding_window", 256}}),
      Class("MistralForCausalLM", "mistral", Json::object()),  // 4096 by default, 256 positions
      Class("Qwen2ForCausalLM", "qwen2", {{"use_sliding_window", false}, {"sliding_window", 128}}),
      Class("Qwen2ForCausalLM", "qwen2",
            {{"use_sliding_window", true}, {"sliding_window", 128}, {"max_window_layers", 2}}),
      Class("Qwen2ForCausalLM", "qwen2",
            {{"use_sliding_window", true}, {"sliding_window", nullptr}, {"max_window_layers", 0}}),
      Class("Qwen3ForCausalLM", "qwen3",
            {{"use_sliding_window", false},
             {"sliding_window", nullptr},
             {"layer_types", {"full_attention", "full_attention"}}}),
      {{"sliding_window", 128}},  // Llama's class has no such field
  };
  for (const Json& fields : rows) {
    const auto model = LoadConfig(With(LlamaConfig(), fields));
    EXPECT_TRUE(model.ok()) << fields << "\n" << model.status();
  }
}

TEST(GenerationConfigTest, RefusesByTheNameOfTheField) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"temperature": -1.0})", "generation_config.json: temperature"},
      {R"({"top_p": 1.5})", "generation_config.json: top_p"},
      {R"({"min_p": -0.5})", "generation_config.json: min_p"},
      {R"({"top_k": -1})", "generation_config.json: top_k"},
      {R"({"repetition_penalty": 0.0})", "generation_config.json: repetition_penalty"},
      {R"({"do_sample": "yes"})", "generation_config.json: do_sample"},
      {R"({"eos_token_id": 96})", "generation_config.json: eos_token_id"},
      {R"({"eos_token_id": [2, -1]})", "generation_config.json: eos_token_id[1]"},
  };
  for (const auto& [text, object] : rows) {
    const auto model = LoadTexts(LlamaConfig().dump(), text);
    const auto refusal = engine::RefusalOf(model.status());
    ASSERT_TRUE(refusal.has_value()) << text << "\n" << model.status();
    EXPECT_EQ(refusal->object, object);
    EXPECT_EQ(refusal->reason, Reason::kModelUnsupported);
  }
}

TEST(ConfigFileTest, RefusesWhatIsNoStrictJson) {
  for (const std::string text : {"", "{", "[1, 2", "{\"a\": 1,}", "{\"a\": NaN}", "\xef\xbb\xbf{}",
                                 "{\"a\": 1, \"a\": 2}", "{} {}", "\xff\xfe"}) {
    for (const bool in_generation : {false, true}) {
      if (in_generation && text.empty()) continue;  // LoadTexts would not write it
      const auto model = in_generation ? LoadTexts(LlamaConfig().dump(), text) : LoadTexts(text);
      const auto refusal = engine::RefusalOf(model.status());
      ASSERT_TRUE(refusal.has_value()) << text << "\n" << model.status();
      EXPECT_EQ(refusal->reason, Reason::kModelFileInvalid) << text;
      EXPECT_EQ(refusal->object, in_generation ? "generation_config.json" : "config.json");
    }
  }
}

TEST(ConfigFileTest, RefusesWhatIsNoObject) {
  const auto model = LoadTexts("[1, 2]");
  EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(model.status().message(), HasSubstr("config.json: expected an object"));
}

TEST(ConfigFileTest, NestingAndSizeAreBounded) {
  std::string deep(1000, '[');
  EXPECT_EQ(LoadTexts(deep).status().code(), absl::StatusCode::kInvalidArgument);
  std::string large = "{\"a\": \"";
  large.resize((16 << 20) + 1, 'x');
  const auto model = LoadTexts(large);
  EXPECT_THAT(model.status().message(), HasSubstr("at most 16777216 bytes"));
}

TEST(ConfigFileTest, AMissingFileIsNotFound) {
  const TempDir dir;
  EXPECT_EQ(engine::ModelConfig::Load(dir.path()).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace chorus::test
