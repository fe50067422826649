// What the selection of modules may not be: target_modules, its companions, and the patterns.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/refusal_cases.h"

namespace chorus::test {
namespace {

using engine::Json;
using engine::ModelConfig;
using engine::Reason;

constexpr char kConfig[] = "adapter_config.json: ";
constexpr char kTensors[] = "adapter_model.safetensors: ";

// A good adapter with these fields changed.
RefusalCase Config(std::string name, Reason reason, std::string object, Json fields) {
  return {std::move(name),
          reason,
          std::move(object),
          [fields = std::move(fields)](const ModelConfig& model) {
            AdapterFiles files = GoodAdapter(model);
            files.config.update(fields);
            return ToUpload(files);
          },
          {}};
}

// A pattern that neither rank_pattern nor target_modules accept.
void AddPattern(std::vector<RefusalCase>* cases, const std::string& name,
                const std::string& pattern) {
  cases->push_back(Config("rank_pattern_" + name, Reason::kAdapterPattern,
                          absl::StrCat(kConfig, "rank_pattern"),
                          {{"rank_pattern", Json::object({{pattern, 2}})}}));
  cases->push_back(Config("target_regex_" + name, Reason::kAdapterPattern,
                          absl::StrCat(kConfig, "target_modules"), {{"target_modules", pattern}}));
}

void AddPatterns(std::vector<RefusalCase>* cases) {
  AddPattern(cases, "is_broken", "(q_proj");
  AddPattern(cases, "is_broken_and_clears_the_screen", "[q\x1b[2J");
  AddPattern(cases, "looks_ahead", "(?!k_proj).*_proj");
  AddPattern(cases, "looks_behind", ".*(?<=q)_proj");
  AddPattern(cases, "refers_back", "(q|v)_proj\\1");
  AddPattern(cases, "sets_flags", "(?i)Q_PROJ");
  AddPattern(cases, "ends_in_backslash", "q_proj\\");
  AddPattern(cases, "has_python_end", "q_proj\\Z");
  AddPattern(cases, "has_posix_class", "[[:alpha:]]_proj");
  AddPattern(cases, "has_python_range", "q{,2}_proj");
  AddPattern(cases, "is_possessive", "q++_proj");
  AddPattern(cases, "is_repetition_bomb", "((((.{100}){100}){100}){100})");
  AddPattern(cases, "is_large_program", "(\\w{0,999}\\W{0,999}){0,30}");
  // target_modules is read as a string first, which has the same bound.
  cases->push_back(Config("rank_pattern_is_long", Reason::kAdapterPattern,
                          absl::StrCat(kConfig, "rank_pattern"),
                          {{"rank_pattern", Json::object({{std::string(513, 'q'), 2}})}}));
  Json many = Json::object();
  Json heavy = Json::object();
  for (int i = 0; i <= 4096; ++i) many.emplace(absl::StrCat("p", i), 2);
  for (int i = 0; i < 1000; ++i) heavy.emplace(absl::StrCat("(.{0,99}){2}x", i), 2);
  cases->push_back(Config("rank_pattern_has_4097_keys", Reason::kAdapterConfigInvalid,
                          absl::StrCat(kConfig, "rank_pattern"), {{"rank_pattern", many}}));
  cases->push_back(Config("rank_pattern_is_too_much_work", Reason::kAdapterPattern,
                          absl::StrCat(kConfig, "rank_pattern"), {{"rank_pattern", heavy}}));
  for (auto& [name, value] :
       std::vector<std::pair<std::string, Json>>{{"zero", 0}, {"257", 257}, {"text", "2"}}) {
    cases->push_back(Config("rank_pattern_gives_" + name, Reason::kAdapterRank,
                            absl::StrCat(kConfig, "rank_pattern.q_proj"),
                            {{"rank_pattern", {{"q_proj", value}}}}));
  }
  cases->push_back(Config("alpha_pattern_gives_text", Reason::kAdapterConfigInvalid,
                          absl::StrCat(kConfig, "alpha_pattern.q_proj"),
                          {{"alpha_pattern", {{"q_proj", "4"}}}}));
  cases->push_back(Config("alpha_pattern_gives_too_much", Reason::kAdapterScale,
                          absl::StrCat(kConfig, "alpha_pattern.q_proj"),
                          {{"alpha_pattern", {{"q_proj", 1e7}}}}));
  cases->push_back(Config("alpha_pattern_makes_scale_too_large", Reason::kAdapterScale,
                          "scale of self_attn.v_proj of layer 1",
                          {{"alpha_pattern", {{"layers.1.self_attn.v_proj", 30000}}}}));
  for (const char* field : {"rank_pattern", "alpha_pattern"}) {
    cases->push_back(Config(absl::StrCat(field, "_is_list"), Reason::kAdapterConfigInvalid,
                            absl::StrCat(kConfig, field),
                            Json::object({{field, Json::array({"q_proj"})}})));
    cases->push_back(Config(absl::StrCat(field, "_is_broken_too"), Reason::kAdapterPattern,
                            absl::StrCat(kConfig, field),
                            Json::object({{field, Json::object({{"[q", 2}})}})));
  }
  cases->push_back(Config("rank_pattern_contradicts_tensors", Reason::kAdapterRank,
                          "self_attn.q_proj.lora_A of layer 1",
                          {{"rank_pattern", {{"layers.1.self_attn.q_proj", 4}}}}));
}

void AddTargets(std::vector<RefusalCase>* cases) {
  const std::string field = absl::StrCat(kConfig, "target_modules");
  cases->push_back(
      Config("targets_number", Reason::kAdapterConfigInvalid, field, {{"target_modules", 7}}));
  cases->push_back(Config("targets_numbers", Reason::kAdapterConfigInvalid, field + "[1]",
                          {{"target_modules", {"q_proj", 7}}}));
  cases->push_back(Config("targets_long_regex", Reason::kAdapterConfigInvalid, field,
                          {{"target_modules", std::string(513, 'q')}}));
  cases->push_back(Config("targets_long_name", Reason::kAdapterConfigInvalid, field + "[0]",
                          {{"target_modules", {std::string(513, 'q')}}}));
  cases->push_back(Config("targets_4097_names", Reason::kAdapterConfigInvalid, field,
                          {{"target_modules", std::vector<std::string>(4097, "q_proj")}}));
  for (const char* end : {"lm_head", "embed_tokens"}) {
    cases->push_back(Config(absl::StrCat("targets_", end), Reason::kAdapterUnsupportedKind, field,
                            {{"target_modules", {"q_proj", "v_proj", end}}}));
  }
  cases->push_back(Config("targets_everything_by_regex", Reason::kAdapterUnsupportedKind, field,
                          {{"target_modules", ".*"}}));
  const std::string q = absl::StrCat(kTensors, "self_attn.q_proj of layer 0");
  const std::string v = absl::StrCat(kTensors, "self_attn.v_proj of layer 0");
  cases->push_back(
      Config("targets_nothing", Reason::kAdapterTarget, q, {{"target_modules", Json::array()}}));
  cases->push_back(
      Config("targets_empty_regex", Reason::kAdapterTarget, q, {{"target_modules", ""}}));
  cases->push_back(
      Config("targets_too_few", Reason::kAdapterTarget, v, {{"target_modules", {"q_proj"}}}));
  cases->push_back(Config("excludes_what_has_tensors", Reason::kAdapterTarget, v,
                          {{"exclude_modules", {"v_proj"}}}));
  cases->push_back(Config("excludes_by_broken_regex", Reason::kAdapterPattern,
                          absl::StrCat(kConfig, "exclude_modules"), {{"exclude_modules", "(v"}}));
  cases->push_back(Config("excludes_number", Reason::kAdapterConfigInvalid,
                          absl::StrCat(kConfig, "exclude_modules"), {{"exclude_modules", 7}}));
  cases->push_back(Config("targets_more_than_tensors", Reason::kAdapterTensorMissing,
                          "self_attn.o_proj.lora_A of layer 0",
                          {{"target_modules", {"q_proj", "v_proj", "o_proj"}}}));
  cases->push_back(Config("targets_all_linear_with_two", Reason::kAdapterTensorMissing,
                          "self_attn.k_proj.lora_A of layer 0",
                          {{"target_modules", "all-linear"}}));
}

void AddLayers(std::vector<RefusalCase>* cases) {
  const std::string layers = absl::StrCat(kConfig, "layers_to_transform");
  const std::string pattern = absl::StrCat(kConfig, "layers_pattern");
  const std::string q = absl::StrCat(kTensors, "self_attn.q_proj of layer 0");
  const auto add = [&](const char* name, Reason reason, const std::string& object, Json fields) {
    cases->push_back(Config(name, reason, object, std::move(fields)));
  };
  add("layers_out_of_range", Reason::kAdapterTarget, q, {{"layers_to_transform", {5000}}});
  add("layers_leave_out_tensors", Reason::kAdapterTarget, q, {{"layers_to_transform", 1}});
  add("layers_negative", Reason::kAdapterConfigInvalid, layers, {{"layers_to_transform", -1}});
  add("layers_text", Reason::kAdapterConfigInvalid, layers, {{"layers_to_transform", "0"}});
  add("layers_fraction", Reason::kAdapterConfigInvalid, layers + "[0]",
      {{"layers_to_transform", {0.5}}});
  add("layers_true", Reason::kAdapterConfigInvalid, layers + "[0]",
      {{"layers_to_transform", {true}}});
  add("layers_huge", Reason::kAdapterConfigInvalid, layers,
      {{"layers_to_transform", uint64_t{1} << 40}});
  add("layers_with_regex_targets", Reason::kAdapterConflict, layers,
      {{"target_modules", ".*\\.(q|v)_proj"}, {"layers_to_transform", {0, 1}}});
  add("layers_pattern_with_regex_targets", Reason::kAdapterConflict, pattern,
      {{"target_modules", ".*\\.(q|v)_proj"}, {"layers_pattern", "layers"}});
  add("layers_pattern_without_layers", Reason::kAdapterConflict, pattern,
      {{"layers_pattern", "layers"}});
  add("layers_pattern_is_number", Reason::kAdapterConfigInvalid, pattern,
      {{"layers_to_transform", {0}}, {"layers_pattern", 7}});
  add("layers_pattern_has_17", Reason::kAdapterConfigInvalid, pattern,
      {{"layers_to_transform", {0}}, {"layers_pattern", std::vector<std::string>(17, "layers")}});
  add("layers_pattern_is_broken", Reason::kAdapterPattern, pattern,
      {{"layers_to_transform", {0}}, {"layers_pattern", "(layers"}});
  add("layers_pattern_matches_nothing", Reason::kAdapterTarget, q,
      {{"layers_to_transform", {0, 1}}, {"layers_pattern", "h"}});
  add("lora_bias_with_init", Reason::kAdapterConflict, absl::StrCat(kConfig, "init_lora_weights"),
      {{"lora_bias", true}, {"init_lora_weights", "gaussian"}});
  add("two_variants", Reason::kAdapterConflict, "adapter_config.json",
      {{"velora_config", Json::object()}, {"monteclora_config", Json::object()}});
}

}  // namespace

std::vector<RefusalCase> ConfigTargetCases() {
  std::vector<RefusalCase> cases;
  AddPatterns(&cases);
  AddTargets(&cases);
  AddLayers(&cases);
  return cases;
}

}  // namespace chorus::test
