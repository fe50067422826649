// config.json and generation_config.json that are served, and what is read from them.
#include "engine/model/model_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/model/model_dir.h"

namespace chorus::test {
namespace {

using engine::Architecture;
using engine::Json;
using engine::ModelConfig;
using engine::RopeType;
using kernels::DType;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

ModelConfig MustLoad(const Json& config) {
  absl::StatusOr<ModelConfig> model = LoadConfig(config);
  EXPECT_TRUE(model.ok()) << model.status();
  return model.ok() ? *std::move(model) : ModelConfig{};
}

TEST(ModelConfigTest, ReadsWhatTheFileSays) {
  const ModelConfig model = MustLoad(With(LlamaConfig(), {{"head_dim", 32},
                                                          {"tie_word_embeddings", true},
                                                          {"attention_bias", true},
                                                          {"mlp_bias", true},
                                                          {"_name_or_path", "some/model"}}));
  EXPECT_EQ(model.architecture, Architecture::kLlama);
  EXPECT_EQ(model.layers, 2);
  EXPECT_EQ(model.hidden, 64);
  EXPECT_EQ(model.intermediate, 112);
  EXPECT_EQ(model.heads, 4);
  EXPECT_EQ(model.kv_heads, 2);
  EXPECT_EQ(model.head_dim, 32);
  EXPECT_EQ(model.vocabulary, 96);
  EXPECT_EQ(model.max_positions, 256);
  EXPECT_EQ(model.rms_norm_eps, 1e-5f);
  EXPECT_TRUE(model.tied_embeddings);
  EXPECT_TRUE(model.qkv_bias && model.o_bias && model.mlp_bias);
  EXPECT_FALSE(model.qk_norm);
  EXPECT_EQ(model.rope.type, RopeType::kDefault);
  EXPECT_EQ(model.rope.theta, 10000.0);
  EXPECT_EQ(model.file_dtype, DType::kBf16);
  EXPECT_EQ(model.name_or_path, "some/model");
  EXPECT_THAT(model.eos_token_ids, ElementsAre(2));
}

TEST(ModelConfigTest, LinearsHaveTheShapesOfTheHeads) {
  const ModelConfig model = MustLoad(With(LlamaConfig(), {{"head_dim", 32}}));
  const auto shape = [&](kernels::LoraModule module) {
    const ModelConfig::LinearShape linear = model.linear(module);
    return std::pair(linear.inputs, linear.outputs);
  };
  EXPECT_EQ(shape(kernels::kQ), std::pair(int64_t{64}, int64_t{128}));
  EXPECT_EQ(shape(kernels::kK), std::pair(int64_t{64}, int64_t{64}));
  EXPECT_EQ(shape(kernels::kV), std::pair(int64_t{64}, int64_t{64}));
  EXPECT_EQ(shape(kernels::kO), std::pair(int64_t{128}, int64_t{64}));
  EXPECT_EQ(shape(kernels::kGate), std::pair(int64_t{64}, int64_t{112}));
  EXPECT_EQ(shape(kernels::kUp), std::pair(int64_t{64}, int64_t{112}));
  EXPECT_EQ(shape(kernels::kDown), std::pair(int64_t{112}, int64_t{64}));
}

// What the classes of transformers take for a field that the file leaves out.
TEST(ModelConfigTest, MissingFieldsHaveTheDefaultsOfTheClass) {
  const ModelConfig llama = MustLoad({{"architectures", {"LlamaForCausalLM"}}});
  EXPECT_EQ(llama.hidden, 4096);
  EXPECT_EQ(llama.intermediate, 11008);
  EXPECT_EQ(llama.layers, 32);
  EXPECT_EQ(llama.kv_heads, 32);
  EXPECT_EQ(llama.head_dim, 128);
  EXPECT_EQ(llama.vocabulary, 32000);
  EXPECT_EQ(llama.max_positions, 2048);
  EXPECT_EQ(llama.rms_norm_eps, 1e-6f);
  EXPECT_EQ(llama.rope.theta, 10000.0);
  EXPECT_FALSE(llama.tied_embeddings);
  EXPECT_EQ(llama.file_dtype, DType::kF32);
  EXPECT_THAT(llama.eos_token_ids, ElementsAre(2));

  const ModelConfig mistral =
      MustLoad({{"architectures", {"MistralForCausalLM"}}, {"sliding_window", nullptr}});
  EXPECT_EQ(mistral.kv_heads, 8);
  EXPECT_EQ(mistral.max_positions, 131072);

  const ModelConfig qwen3 =
      MustLoad({{"architectures", {"Qwen3ForCausalLM"}}, {"hidden_size", 1024}});
  EXPECT_EQ(qwen3.head_dim, 128);
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_FALSE(qwen3.qkv_bias);
  EXPECT_THAT(qwen3.eos_token_ids, IsEmpty());
}

TEST(ModelConfigTest, HeadsFollowFromOneAnother) {
  // No num_key_value_heads, or null: as many as heads.
  EXPECT_EQ(MustLoad(Without(LlamaConfig(), "num_key_value_heads")).kv_heads, 4);
  EXPECT_EQ(MustLoad(With(LlamaConfig(), {{"num_key_value_heads", nullptr}})).kv_heads, 4);
  // No head_dim, or null: hidden_size / heads.
  EXPECT_EQ(MustLoad(LlamaConfig()).head_dim, 16);
  EXPECT_EQ(MustLoad(With(LlamaConfig(), {{"head_dim", nullptr}})).head_dim, 16);
}

TEST(ModelConfigTest, Qwen2HasBiasesWithoutSayingSo) {
  const ModelConfig model = MustLoad(With(LlamaConfig(), {{"architectures", {"Qwen2ForCausalLM"}},
                                                          {"model_type", "qwen2"},
                                                          {"attention_bias", false}}));
  EXPECT_TRUE(model.qkv_bias);
  EXPECT_FALSE(model.o_bias);
  EXPECT_FALSE(model.qk_norm);
}

TEST(ModelConfigTest, MistralIgnoresBiasFieldsAsItsClassDoes) {
  const ModelConfig model = MustLoad(With(LlamaConfig(), {{"architectures", {"MistralForCausalLM"}},
                                                          {"model_type", "mistral"},
                                                          {"sliding_window", nullptr},
                                                          {"attention_bias", true},
                                                          {"mlp_bias", true}}));
  EXPECT_FALSE(model.qkv_bias || model.o_bias || model.mlp_bias);
}

TEST(ModelConfigTest, TypeIsSpelledInTwoWays) {
  const Json bare = Without(LlamaConfig(), "torch_dtype");
  for (const auto& [name, type] :
       {std::pair("float32", DType::kF32), std::pair("bfloat16", DType::kBf16),
        std::pair("float16", DType::kF16)}) {
    EXPECT_EQ(MustLoad(With(bare, {{"torch_dtype", name}})).file_dtype, type);
    EXPECT_EQ(MustLoad(With(bare, {{"dtype", name}})).file_dtype, type);
    // The newer spelling is what transformers 5 reads.
    EXPECT_EQ(MustLoad(With(bare, {{"torch_dtype", "float64"}, {"dtype", name}})).file_dtype, type);
  }
  EXPECT_EQ(MustLoad(With(bare, {{"dtype", nullptr}})).file_dtype, DType::kF32);
}

TEST(ModelConfigTest, NeutralFieldsOfOtherVariantsPass) {
  MustLoad(With(LlamaConfig(), {{"pretraining_tp", 1},
                                {"attention_dropout", 0.5},
                                {"num_local_experts", 0},
                                {"attn_logit_softcapping", nullptr},
                                {"logit_scale", 1.0},
                                {"quantization_config", nullptr},
                                {"use_cache", true},
                                {"a_field_of_tomorrow", "x"}}));
}

TEST(ModelConfigTest, EndsOfSequenceAreTheUnionOfBothFiles) {
  const auto ids = [](const Json& eos, const std::string& generation) {
    const auto model = LoadTexts(With(LlamaConfig(), {{"eos_token_id", eos}}).dump(), generation);
    EXPECT_TRUE(model.ok()) << model.status();
    return model.ok() ? model->eos_token_ids : std::vector<int32_t>{};
  };
  EXPECT_THAT(ids(2, ""), ElementsAre(2));
  EXPECT_THAT(ids({5, 3}, ""), ElementsAre(3, 5));
  EXPECT_THAT(ids(2, R"({"eos_token_id": 7})"), ElementsAre(2, 7));
  EXPECT_THAT(ids({2, 3}, R"({"eos_token_id": [7, 3]})"), ElementsAre(2, 3, 7));
  EXPECT_THAT(ids(nullptr, R"({"eos_token_id": 7})"), ElementsAre(7));
  EXPECT_THAT(ids(nullptr, R"({"eos_token_id": null})"), IsEmpty());
}

TEST(ModelConfigTest, ReadsGenerationDefaults) {
  const auto model = LoadTexts(LlamaConfig().dump(),
                               R"({"do_sample": true, "temperature": 0.5, "top_p": 0.9,
                                   "top_k": 40, "min_p": 0.125, "repetition_penalty": 1.25,
                                   "transformers_version": "4.57.1", "pad_token_id": 0})");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(model->generation.do_sample, Optional(true));
  EXPECT_THAT(model->generation.temperature, Optional(0.5f));
  EXPECT_THAT(model->generation.top_p, Optional(0.9f));
  EXPECT_THAT(model->generation.top_k, Optional(40));
  EXPECT_THAT(model->generation.min_p, Optional(0.125f));
  EXPECT_THAT(model->generation.repetition_penalty, Optional(1.25f));

  const auto none = LoadTexts(LlamaConfig().dump());
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->generation.do_sample, std::nullopt);
  EXPECT_EQ(none->generation.temperature, std::nullopt);
}

TEST(ModelConfigTest, BothSpellingsOfRopeMeanTheSame) {
  const Json scaling = {{"factor", 8.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 64}};
  const Json old_style =
      With(LlamaConfig(),
           {{"rope_theta", 500000.0}, {"rope_scaling", With(scaling, {{"type", "llama3"}})}});
  const Json new_style = With(
      Without(LlamaConfig(), "rope_theta"),
      {{"rope_parameters", With(scaling, {{"rope_type", "llama3"}, {"rope_theta", 500000.0}})}});
  for (const Json& config : {old_style, new_style}) {
    const engine::RopeConfig rope = MustLoad(config).rope;
    EXPECT_EQ(rope.type, RopeType::kLlama3);
    EXPECT_EQ(rope.theta, 500000.0);
    EXPECT_EQ(rope.factor, 8.0);
    EXPECT_EQ(rope.low_freq_factor, 1.0);
    EXPECT_EQ(rope.high_freq_factor, 4.0);
    EXPECT_EQ(rope.original_max_position, 64);
  }
}

TEST(ModelConfigTest, YarnWithoutAFactorStretchesToTheContext) {
  const engine::RopeConfig rope =
      MustLoad(
          With(LlamaConfig(),
               {{"rope_scaling", {{"type", "yarn"}, {"original_max_position_embeddings", 64}}}}))
          .rope;
  EXPECT_EQ(rope.type, RopeType::kYarn);
  EXPECT_EQ(rope.factor, 4.0);
}

}  // namespace
}  // namespace chorus::test
