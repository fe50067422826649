// RowChoice: which rows the next step computes: decodes first, oldest first; then prompts, in the
// order of their turns. Engine thread only.
#ifndef CHORUS_ENGINE_SCHEDULE_ROW_CHOICE_H_
#define CHORUS_ENGINE_SCHEDULE_ROW_CHOICE_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "engine/adapters/residency.h"
#include "engine/schedule/active_set.h"
#include "engine/schedule/batch_builder.h"
#include "engine/schedule/engine_options.h"
#include "engine/schedule/model_limits.h"
#include "engine/schedule/pace.h"
#include "engine/schedule/prompt_turns.h"

namespace chorus::engine {

class RowChoice {
 public:
  // All outlive it.
  RowChoice(const EngineOptions& options, const ModelLimits& model, int32_t num_layers,
            const Pace& pace)
      : options_(options), model_(model), num_layers_(num_layers), pace_(pace) {}

  // Of the active sequences, within the limits of a step and the pages that they have.
  std::vector<PlannedSequence> Choose(const ActiveSet& active, absl::Time now);

 private:
  int64_t RowsThatMayRun(const Sequence& sequence, int64_t rows, absl::Time now) const;
  bool IsThereInTime(const Residency::Resident& adapter, int64_t rows, absl::Time now) const;

  const EngineOptions& options_;
  const ModelLimits& model_;
  const int32_t num_layers_;
  const Pace& pace_;
  PromptTurns prompts_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_ROW_CHOICE_H_
