// ModelLimits: what the scheduler must know of the model and of what runs it.
#ifndef CHORUS_ENGINE_SCHEDULE_MODEL_LIMITS_H_
#define CHORUS_ENGINE_SCHEDULE_MODEL_LIMITS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/runner.h"

namespace chorus::engine {

struct ModelLimits {
  std::string base_digest;
  std::vector<int32_t> eos_token_ids;  // ascending
  int32_t max_positions = 0;
  int32_t vocabulary = 0;
  RunnerLimits runner;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_MODEL_LIMITS_H_
