#include "bench/gpu/step_cases.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace chorus::bench {
namespace {

using engine::ModelConfig;
using engine::WeightRole;
using engine::WeightShape;

ModelConfig Llama(int32_t layers, int32_t hidden, int32_t intermediate, int32_t heads,
                  int32_t kv_heads, int32_t vocabulary, double theta) {
  ModelConfig config;
  config.layers = layers;
  config.hidden = hidden;
  config.intermediate = intermediate;
  config.heads = heads;
  config.kv_heads = kv_heads;
  config.head_dim = hidden / heads;
  config.vocabulary = vocabulary;
  config.max_positions = 1 << 16;
  config.rms_norm_eps = 1e-5f;
  config.rope.theta = theta;
  config.file_dtype = kernels::DType::kBf16;
  return config;
}

ModelConfig Qwen() {
  ModelConfig config = Llama(28, 3584, 18944, 28, 4, 152064, 1e6);
  config.architecture = engine::Architecture::kQwen2;
  config.qkv_bias = true;
  return config;
}

const StepSizes kSizes = {.batches = {1, 16, 64, 256},
                          .adapters = {1, 8, 16, 64},
                          .main_batch = 64,
                          .context = 512,
                          .long_context = 32768,
                          .rank = 16,
                          .mixed_ranks = {8, 16, 64, 256},
                          .prefill_tokens = 2048,
                          .prefill_adapters = 8,
                          .cold_tokens = 128};
const StepSizes kTinySizes = {.batches = {1, 4},
                              .adapters = {1, 2, 4},
                              .main_batch = 4,
                              .context = 33,
                              .long_context = 150,
                              .rank = 16,
                              .mixed_ranks = {8, 24},
                              .prefill_tokens = 24,
                              .prefill_adapters = 2,
                              .cold_tokens = 9};

std::vector<StepModel> Models() {
  return {{"llama-3-8b", Llama(32, 4096, 14336, 32, 8, 128256, 5e5), kSizes},
          {"llama-2-7b", Llama(32, 4096, 11008, 32, 32, 32000, 1e4), kSizes},
          {"qwen2.5-7b", Qwen(), kSizes},
          {"tiny", Llama(2, 128, 192, 2, 1, 320, 1e4), kTinySizes}};
}

// `rows` sequences that share `adapters` adapters evenly, those of one lying together.
StepCase Decodes(const StepSizes& sizes, int32_t rows, int32_t adapters, int32_t rank,
                 bool attention_only) {
  StepCase c;
  c.name = absl::StrCat(rows, " rows, ", adapters, " x r", rank, attention_only ? " qkvo" : " all");
  c.ranks.assign(static_cast<size_t>(adapters), rank);
  c.attention_only = attention_only;
  c.target = rows == sizes.main_batch || rows == 1;
  for (int32_t row = 0; row < rows; ++row) {
    c.sequences.push_back({sizes.context, 1, static_cast<int32_t>(int64_t{row} * adapters / rows)});
  }
  return c;
}

// Adapters of cases that are about something else.
int32_t FewAdapters(const StepSizes& sizes) { return std::max(sizes.main_batch / 4, 2); }

StepCase Unused(const StepSizes& sizes) {
  const int32_t rows = sizes.main_batch;
  StepCase c = Decodes(sizes, rows, rows, sizes.rank, false);
  c.name = absl::StrCat(rows, " rows, 0 of ", rows, " x r", sizes.rank, " all");
  for (StepSequence& sequence : c.sequences) sequence.adapter = -1;
  return c;
}

StepCase MixedRanks(const StepSizes& sizes) {
  StepCase c = Decodes(sizes, sizes.main_batch, FewAdapters(sizes), sizes.rank, false);
  c.name = absl::StrCat(sizes.main_batch, " rows, ", c.ranks.size(), " x r",
                        absl::StrJoin(sizes.mixed_ranks, "/"), " all");
  c.target = false;
  for (size_t a = 0; a < c.ranks.size(); ++a) {
    c.ranks[a] = sizes.mixed_ranks[a % sizes.mixed_ranks.size()];
  }
  return c;
}

StepCase OneLong(const StepSizes& sizes) {
  StepCase c = Decodes(sizes, sizes.main_batch, FewAdapters(sizes), sizes.rank, false);
  c.name = absl::StrCat(sizes.main_batch, " rows, one of ", sizes.long_context, " tokens, ",
                        c.ranks.size(), " x r", sizes.rank, " all");
  c.target = false;
  c.sequences[c.sequences.size() / 2].context = sizes.long_context;
  return c;
}

StepCase Prefill(const StepSizes& sizes, bool attention_only) {
  StepCase c;
  const int32_t prompts = sizes.prefill_adapters;
  c.name = absl::StrCat("prefill of ", sizes.prefill_tokens, ", ", prompts, " x r", sizes.rank,
                        attention_only ? " qkvo" : " all");
  c.ranks.assign(static_cast<size_t>(prompts), sizes.rank);
  c.attention_only = attention_only;
  c.target = true;
  const int32_t tokens = sizes.prefill_tokens / prompts;
  for (int32_t prompt = 0; prompt < prompts; ++prompt) {
    c.sequences.push_back({tokens, tokens, prompt});
  }
  return c;
}

}  // namespace

int32_t StepCase::rows() const {
  int32_t rows = 0;
  for (const StepSequence& sequence : sequences) rows += sequence.rows;
  return rows;
}

bool StepCase::decodes() const {
  return std::all_of(sequences.begin(), sequences.end(),
                     [](const StepSequence& sequence) { return sequence.rows == 1; });
}

std::vector<int32_t> StepCase::used_adapters() const {
  std::vector<int32_t> used;
  for (const StepSequence& sequence : sequences) {
    if (sequence.adapter >= 0) used.push_back(sequence.adapter);
  }
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  return used;
}

int32_t StepModel::max_batch() const {
  return *std::max_element(sizes.batches.begin(), sizes.batches.end());
}

int32_t StepModel::max_rank() const {
  return std::max(sizes.rank,
                  *std::max_element(sizes.mixed_ranks.begin(), sizes.mixed_ranks.end()));
}

absl::StatusOr<StepModel> FindStepModel(absl::string_view name) {
  std::vector<std::string> names;
  for (StepModel& model : Models()) {
    if (model.name == name) return std::move(model);
    names.push_back(model.name);
  }
  return absl::NotFoundError(
      absl::StrCat("shape ", name, ": expected one of ", absl::StrJoin(names, ", ")));
}

std::vector<StepCase> StepCases(const StepModel& model) {
  const StepSizes& sizes = model.sizes;
  std::vector<StepCase> cases = {Unused(sizes), Prefill(sizes, true), Prefill(sizes, false)};
  for (const int32_t rows : sizes.batches) {
    for (const int32_t adapters : sizes.adapters) {
      if (adapters > rows) continue;
      cases.push_back(Decodes(sizes, rows, adapters, sizes.rank, true));
      cases.push_back(Decodes(sizes, rows, adapters, sizes.rank, false));
    }
  }
  cases.push_back(MixedRanks(sizes));
  cases.push_back(OneLong(sizes));
  std::stable_sort(cases.begin(), cases.end(),
                   [](const StepCase& a, const StepCase& b) { return a.target && !b.target; });
  return cases;
}

std::vector<StepCase> LoraCases(const StepModel& model) {
  const StepSizes& sizes = model.sizes;
  const int32_t rows = sizes.main_batch;
  std::vector<StepCase> cases = {Decodes(sizes, rows, rows, sizes.rank, false),
                                 Decodes(sizes, rows, rows, sizes.rank, true)};
  for (const int32_t adapters : sizes.adapters) {
    if (adapters < rows) cases.push_back(Decodes(sizes, rows, adapters, sizes.rank, false));
  }
  for (const int32_t rank : sizes.mixed_ranks) {
    if (rank != sizes.rank) {
      cases.push_back(Decodes(sizes, rows, FewAdapters(sizes), rank, false));
    }
  }
  cases.push_back(MixedRanks(sizes));
  cases.push_back(Decodes(sizes, 1, 1, sizes.rank, false));
  cases.push_back(Prefill(sizes, false));
  return cases;
}

StepCase WithoutAdapters(const StepCase& c) {
  StepCase base = c;
  base.ranks.clear();
  for (StepSequence& sequence : base.sequences) sequence.adapter = -1;
  return base;
}

std::vector<WeightShape> WeightShapesOf(const ModelConfig& config) {
  const int64_t hidden = config.hidden;
  const int64_t heads = int64_t{config.heads} * config.head_dim;
  const int64_t qkv = heads + int64_t{2} * config.kv_heads * config.head_dim;
  const int64_t wide = int64_t{2} * config.intermediate;
  std::vector<WeightShape> shapes;
  const auto add = [&](bool has, WeightRole role, int32_t layer, int64_t rows, int64_t cols) {
    if (has) shapes.push_back({{role, layer}, rows, cols});
  };
  add(!config.tied_embeddings, WeightRole::kEmbedding, 0, config.vocabulary, hidden);
  add(true, WeightRole::kLmHead, 0, config.vocabulary, hidden);
  for (int32_t layer = 0; layer < config.layers; ++layer) {
    add(true, WeightRole::kInputNorm, layer, 1, hidden);
    add(true, WeightRole::kPostAttentionNorm, layer, 1, hidden);
    add(config.qk_norm, WeightRole::kQNorm, layer, 1, config.head_dim);
    add(config.qk_norm, WeightRole::kKNorm, layer, 1, config.head_dim);
    add(config.qkv_bias, WeightRole::kQkvBias, layer, 1, qkv);
    add(true, WeightRole::kQkv, layer, qkv, hidden);
    add(config.o_bias, WeightRole::kOBias, layer, 1, hidden);
    add(true, WeightRole::kO, layer, hidden, heads);
    add(config.mlp_bias, WeightRole::kGateUpBias, layer, 1, wide);
    add(true, WeightRole::kGateUp, layer, wide, hidden);
    add(config.mlp_bias, WeightRole::kDownBias, layer, 1, hidden);
    add(true, WeightRole::kDown, layer, hidden, config.intermediate);
  }
  add(true, WeightRole::kFinalNorm, 0, 1, hidden);
  return shapes;
}

}  // namespace chorus::bench
