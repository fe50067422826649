// The metrics of the request path, registered once and then only written: what RequestMeter and
// ServerMetrics record into.
#ifndef CHORUS_SERVER_METRICS_REQUEST_SERIES_H_
#define CHORUS_SERVER_METRICS_REQUEST_SERIES_H_

#include <array>
#include <string>

#include "engine/schedule/token_stream.h"
#include "prometheus/counter.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace chorus::server {

inline constexpr size_t kNumFinishReasons = static_cast<size_t>(engine::FinishReason::kError) + 1;

// Thread-safe. Counters are atomics, a histogram takes an uncontended lock of its own.
class RequestSeries {
 public:
  // Registers everything; `registry` outlives this. `context_tokens` bounds the buckets of counts.
  RequestSeries(const std::string& model_name, int32_t context_tokens,
                prometheus::Registry* registry);

  // Seconds
  prometheus::Histogram* time_to_first_token;
  prometheus::Histogram* inter_token_latency;
  prometheus::Histogram* time_per_output_token;  // mean of a choice
  prometheus::Histogram* queue_time;
  prometheus::Histogram* prefill_time;    // admission to first token
  prometheus::Histogram* decode_time;     // first token to last
  prometheus::Histogram* inference_time;  // admission to last token
  prometheus::Histogram* e2e_latency;     // arrival to end
  // Tokens and counts of a request
  prometheus::Histogram* request_prompt_tokens;
  prometheus::Histogram* request_generation_tokens;
  prometheus::Histogram* params_n;
  prometheus::Histogram* params_max_tokens;
  // Totals
  prometheus::Counter* prompt_tokens;
  prometheus::Counter* prompt_tokens_cached;
  prometheus::Counter* generation_tokens;
  prometheus::Counter* unreported_prompt_tokens;
  prometheus::Counter* unreported_generation_tokens;
  std::array<prometheus::Counter*, kNumFinishReasons> choices_finished;
  std::array<prometheus::Counter*, kNumFinishReasons> request_success;  // vLLM's four reasons
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_METRICS_REQUEST_SERIES_H_
