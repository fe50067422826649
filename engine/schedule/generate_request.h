// GenerateRequest: what a front end asks of the engine, validated and in token ids.
#ifndef CHORUS_ENGINE_SCHEDULE_GENERATE_REQUEST_H_
#define CHORUS_ENGINE_SCHEDULE_GENERATE_REQUEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/adapters/adapter_version.h"
#include "kernels/sampling/sample.h"

namespace chorus::engine {

struct GenerateRequest {
  std::string request_id;  // unique among live requests
  std::string tenant;
  std::string cache_salt;       // the client's own; separates prefixes
  AdapterRef adapter;           // null: the base model
  std::vector<int32_t> prompt;  // at least one id
  int32_t max_tokens = 0;       // at least 1; prompt + max_tokens within the context
  int32_t num_choices = 1;      // "n"
  kernels::SamplingParams sampling;
  std::vector<int32_t> stop_token_ids;  // beside the model's end-of-sequence ids
  bool ignore_eos = false;
  int32_t priority = 0;  // larger goes first within a tenant
  absl::Time deadline = absl::InfiniteFuture();
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_GENERATE_REQUEST_H_
