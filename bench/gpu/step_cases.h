// What whole steps are measured on: the shapes of three models of seven and eight billion
// parameters, and of a tiny one for the simulator; the steps that are run on each.
#ifndef CHORUS_BENCH_GPU_STEP_CASES_H_
#define CHORUS_BENCH_GPU_STEP_CASES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/model/device_weights.h"
#include "engine/model/model_config.h"

namespace chorus::bench {

// One sequence of a step.
struct StepSequence {
  int32_t context = 0;   // tokens, those of the step included
  int32_t rows = 1;      // tokens of the step: 1 decodes
  int32_t adapter = -1;  // -1: the base model
};

// A step, compared with the same step in which nobody has an adapter and none is in a slot.
struct StepCase {
  std::string name;
  std::vector<StepSequence> sequences;
  std::vector<int32_t> ranks;   // of each adapter that is in a slot, whether a sequence has it
  bool attention_only = false;  // adapters of q, k, v, o; else of all seven linears
  bool target = false;          // bench/run holds it to a limit

  int32_t rows() const;
  bool decodes() const;  // every sequence has one row
  // That some sequence has, and each once.
  std::vector<int32_t> used_adapters() const;
};

// Tokens, sequences and adapters of a model's cases.
struct StepSizes {
  std::vector<int32_t> batches;   // of decodes
  std::vector<int32_t> adapters;  // that a batch shares, where it has as many sequences
  int32_t main_batch = 0;         // of the other cases of decodes
  int32_t context = 0;
  int32_t long_context = 0;  // of one sequence among main_batch
  int32_t rank = 0;
  std::vector<int32_t> mixed_ranks;  // of main_batch / 4 adapters in turn
  int32_t prefill_tokens = 0;        // of all prompts of a step
  int32_t prefill_adapters = 0;      // prompts, each with one of its own
  int32_t cold_tokens = 0;           // of the prompt whose adapter has to be copied first
};

struct StepModel {
  std::string name;
  engine::ModelConfig config;
  StepSizes sizes;

  int32_t max_batch() const;
  int32_t max_rank() const;
};

// "llama-2-7b", "llama-3-8b", "qwen2.5-7b", "tiny". NotFound naming them.
absl::StatusOr<StepModel> FindStepModel(absl::string_view name);

// Those with targets first.
std::vector<StepCase> StepCases(const StepModel& model);
// Those whose LoRA is also timed alone: numbers of adapters, then each rank.
std::vector<StepCase> LoraCases(const StepModel& model);
// The same step without adapters.
StepCase WithoutAdapters(const StepCase& c);

// The parameters that a checkpoint of the model has, as LoadWeights announces them.
std::vector<engine::WeightShape> WeightShapesOf(const engine::ModelConfig& config);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_GPU_STEP_CASES_H_
