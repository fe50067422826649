// What adapter_config.json may not be, as text and field by field.
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tests/support/refusal_cases.h"

namespace chorus::test {
namespace {

using engine::Json;
using engine::ModelConfig;
using engine::Reason;

constexpr char kFile[] = "adapter_config.json";

// A good adapter whose config is this text.
RefusalCase Text(std::string name, std::string text) {
  return {absl::StrCat("config_", name),
          Reason::kAdapterConfigInvalid,
          kFile,
          [text = std::move(text)](const ModelConfig& model) {
            return AdapterUpload{text, GoodAdapter(model).tensor_file()};
          },
          {}};
}

// A good adapter with one field set to this value.
RefusalCase Field(std::string name, Reason reason, const std::string& field, Json value) {
  return {std::move(name),
          reason,
          absl::StrCat(kFile, ": ", field),
          [field, value = std::move(value)](const ModelConfig& model) {
            AdapterFiles files = GoodAdapter(model);
            files.config[field] = value;
            return ToUpload(files);
          },
          {}};
}

std::string Repeated(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

void AddKinds(std::vector<RefusalCase>* cases) {
  // Every peft_type of PEFT 0.21 but LORA, and names of earlier releases.
  for (const char* kind : {"PROMPT_TUNING", "MULTITASK_PROMPT_TUNING",
                           "P_TUNING",      "PREFIX_TUNING",
                           "ADALORA",       "ADAMSS",
                           "BOFT",          "ADAPTION_PROMPT",
                           "IA3",           "BEFT",
                           "LILY",          "LOHA",
                           "LOKR",          "OFT",
                           "POLY",          "LN_TUNING",
                           "VERA",          "FROD",
                           "PVERA",         "FOURIERFT",
                           "GLORA",         "XLORA",
                           "HRA",           "VBLORA",
                           "UNILORA",       "CPT",
                           "MISS",          "BONE",
                           "RANDLORA",      "ROAD",
                           "HIRA",          "TRAINABLE_TOKENS",
                           "SHIRA",         "C3A",
                           "WAVEFT",        "OSF",
                           "DELORA",        "GRALORA",
                           "CARTRIDGE",     "TINYLORA",
                           "PSOFT",         "PEANUT",
                           "SUPERTUNING",   "DEFT",
                           "lora",          "LoRA",
                           "SOMETHING_NEW"}) {
    const std::string suffix = std::string(kind) == "lora"   ? "in_lower_case"
                               : std::string(kind) == "LoRA" ? "in_mixed_case"
                                                             : absl::AsciiStrToLower(kind);
    cases->push_back(Field(absl::StrCat("peft_type_", suffix), Reason::kAdapterUnsupportedKind,
                           "peft_type", kind));
  }
  for (auto& [name, value] : std::vector<std::pair<std::string, Json>>{
           {"null", nullptr}, {"empty", ""}, {"number", 1}, {"list", {"LORA"}}}) {
    cases->push_back(Field(absl::StrCat("peft_type_is_", name), Reason::kAdapterUnsupportedKind,
                           "peft_type", value));
  }
  for (const char* task : {"SEQ_CLS", "SEQ_2_SEQ_LM", "TOKEN_CLS", "QUESTION_ANS",
                           "FEATURE_EXTRACTION", "causal_lm"}) {
    const bool lower = std::string(task) == "causal_lm";
    cases->push_back(Field(
        lower ? "task_type_in_lower_case" : absl::StrCat("task_type_", absl::AsciiStrToLower(task)),
        Reason::kAdapterUnsupportedKind, "task_type", task));
  }
}

void AddUnsupported(std::vector<RefusalCase>* cases) {
  const std::vector<std::pair<std::string, Json>> fields = {
      {"arrow_config", Json::object()},
      {"fan_in_fan_out", true},
      {"kasa_config", Json::object()},
      {"layer_replication", Json::parse("[[0,2],[1,2]]")},
      {"megatron_config", {{"hidden_size", 64}}},
      {"modules_to_save", {"lm_head"}},
      {"target_parameters", {"experts.gate_up_proj"}},
      {"trainable_token_indices", {5, 6}},
      {"use_bdlora", Json::object()},
      {"use_dora", true},
      {"use_qalora", true},
      {"bias", "all"},
  };
  for (const auto& [field, value] : fields) {
    cases->push_back(
        Field(absl::StrCat("unsupported_", field), Reason::kAdapterUnsupportedField, field, value));
  }
  cases->push_back(
      Field("unsupported_bias_lora_only", Reason::kAdapterUnsupportedField, "bias", "lora_only"));
  cases->push_back(Field("unsupported_trainable_token_map", Reason::kAdapterUnsupportedField,
                         "trainable_token_indices", {{"embed_tokens", {5}}}));
  cases->push_back(
      Field("unsupported_use_dora_as_text", Reason::kAdapterUnsupportedField, "use_dora", "yes"));
  const std::vector<std::pair<std::string, Json>> unknown = {{"use_sorcery", true},
                                                             {"rank", 2},
                                                             {"alpha", 4.0},
                                                             {"lora_Alpha", 4.0},
                                                             {"new_config", {{"a", nullptr}}},
                                                             {"scale", 20.0},
                                                             {"fine_tune_type", "lora"}};
  for (const auto& [field, value] : unknown) {
    cases->push_back(Field(absl::StrCat("unknown_field_", absl::AsciiStrToLower(field)),
                           Reason::kAdapterUnknownField, field, value));
  }
  for (const char* init :
       {"pissa", "pissa_niter_16", "PiSSA", "olora", "corda", "loftq", "lora_ga", "newest"}) {
    const bool mixed = std::string(init) == "PiSSA";
    cases->push_back(Field(absl::StrCat("init_", mixed ? "pissa_in_mixed_case" : init),
                           Reason::kAdapterBaseChanging, "init_lora_weights", init));
  }
  cases->push_back(Field("init_is_number", Reason::kAdapterConfigInvalid, "init_lora_weights", 1));
}

void AddInvocations(std::vector<RefusalCase>* cases) {
  for (auto& [name, value] :
       std::vector<std::pair<std::string, Json>>{{"empty", Json::array()},
                                                 {"false", false},
                                                 {"text", "<act>"},
                                                 {"number", 5},
                                                 {"object", {{"a", 1}}},
                                                 {"too_long", std::vector<int>(257, 5)},
                                                 {"of_text", {"5"}},
                                                 {"of_floats", {5.0}},
                                                 {"of_lists", Json::parse("[[5]]")},
                                                 {"negative", {5, -1}},
                                                 {"beyond_int32", {int64_t{1} << 31}},
                                                 {"beyond_the_vocabulary", {5, 1 << 30}}}) {
    cases->push_back(Field(absl::StrCat("invocation_", name), Reason::kAdapterConfigInvalid,
                           "alora_invocation_tokens", value));
  }
  for (auto& [field, value] :
       std::vector<std::pair<std::string, Json>>{{"velora_config", Json::object()},
                                                 {"monteclora_config", Json::object()},
                                                 {"init_lora_weights", "mica"}}) {
    cases->push_back({absl::StrCat("invocation_with_", field),
                      Reason::kAdapterConflict,
                      kFile,
                      [field = field, value = value](const ModelConfig& model) {
                        AdapterFiles files = GoodAdapter(model);
                        files.config["alora_invocation_tokens"] = {5};
                        files.config[field] = value;
                        return ToUpload(files);
                      },
                      {}});
  }
}

void AddScaling(std::vector<RefusalCase>* cases) {
  const auto beyond_int64 = uint64_t{1} << 63;
  for (auto& [name, value] :
       std::vector<std::pair<std::string, Json>>{{"zero", 0},
                                                 {"257", 257},
                                                 {"negative", -2},
                                                 {"fraction", 2.5},
                                                 {"float", 2.0},
                                                 {"text", "2"},
                                                 {"true", true},
                                                 {"list", {2}},
                                                 {"beyond_int64", beyond_int64},
                                                 {"huge", 1000000000},
                                                 {"object", {{"q_proj", 2}}}}) {
    cases->push_back(Field(absl::StrCat("rank_is_", name), Reason::kAdapterRank, "r", value));
  }
  for (auto& [name, value] :
       std::vector<std::pair<std::string, Json>>{{"text", "4"}, {"true", true}, {"list", {4}}}) {
    cases->push_back(
        Field(absl::StrCat("alpha_is_", name), Reason::kAdapterConfigInvalid, "lora_alpha", value));
  }
  cases->push_back(Field("alpha_too_large", Reason::kAdapterScale, "lora_alpha", 1.5e6));
  cases->push_back(Field("alpha_too_negative", Reason::kAdapterScale, "lora_alpha", -1.5e6));
  RefusalCase scale = Field("scale_too_large", Reason::kAdapterScale, "lora_alpha", 1e6);
  scale.object = "scale of self_attn.q_proj of layer 0";
  cases->push_back(scale);
  for (const char* field : {"use_rslora", "lora_bias"}) {
    cases->push_back(
        Field(absl::StrCat(field, "_is_text"), Reason::kAdapterConfigInvalid, field, "true"));
    cases->push_back(
        Field(absl::StrCat(field, "_is_one"), Reason::kAdapterConfigInvalid, field, 1));
  }
  cases->push_back(
      Field("base_model_is_number", Reason::kAdapterConfigInvalid, "base_model_name_or_path", 7));
  cases->push_back(Field("base_model_too_long", Reason::kAdapterConfigInvalid,
                         "base_model_name_or_path", std::string(4097, 'm')));
}

}  // namespace

std::vector<RefusalCase> ConfigTextCases() {
  const std::string good = R"({"peft_type":"LORA","r":2)";  // goes on
  return {
      Text("is_text", "r: 2\nlora_alpha: 4\n"),
      Text("is_blank", " "),
      Text("is_array", "[]"),
      Text("is_string", "\"LORA\""),
      Text("is_number", "2"),
      Text("is_null", "null"),
      Text("is_pickle", std::string("\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00", 11)),
      Text("is_cut_off", good),
      Text("ends_in_comma", good + ",}"),
      Text("has_trailing_bytes", good + "} x"),
      Text("is_two_documents", good + "}" + good + "}"),
      Text("has_byte_order_mark", "\xef\xbb\xbf" + good + "}"),
      Text("is_utf16", std::string("{\0}\0", 4)),
      Text("has_comment", good + "/* rank */}"),
      Text("has_single_quotes", "{'peft_type':'LORA'}"),
      Text("has_nan", good + R"(,"lora_alpha":NaN})"),
      Text("has_infinity", good + R"(,"lora_alpha":Infinity})"),
      Text("has_number_overflow", good + R"(,"lora_alpha":1e999})"),
      Text("has_leading_zero", R"({"peft_type":"LORA","r":02})"),
      Text("has_invalid_utf8", good + ",\"revision\":\"\xc3\x28\"}"),
      Text("has_lone_surrogate", good + R"(,"revision":"\ud800"})"),
      Text("has_raw_newline_in_string", good + ",\"revision\":\"a\nb\"}"),
      Text("has_duplicate_key", good + R"(,"r":4})"),
      Text("has_escaped_duplicate_key", good + R"(,"\u0072":4})"),
      Text("has_duplicate_key_inside", good + R"(,"rank_pattern":{"q_proj":2,"q_proj":2}})"),
      Text("is_17_deep", good + ",\"revision\":" + Repeated("[", 16) + Repeated("]", 16) + "}"),
      Text("is_array_bomb", Repeated("[", 100000)),
      Text("is_object_bomb", Repeated("{\"a\":", 100000)),
      Text("has_too_many_values", good + ",\"revision\":[0" + Repeated(",0", 20000) + "]}"),
  };
}

std::vector<RefusalCase> ConfigFieldCases() {
  std::vector<RefusalCase> cases;
  AddKinds(&cases);
  AddUnsupported(&cases);
  AddScaling(&cases);
  AddInvocations(&cases);
  return cases;
}

}  // namespace chorus::test
