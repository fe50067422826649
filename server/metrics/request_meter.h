// RequestMeter: measures one generation, from its arrival to its end, and records it: latencies,
// tokens, how its choices finished. Cheap enough for every delta of every stream.
//
//   RequestMeter ─ Admitted ─ Tokens … ─ ChoiceEnded … ─ Ended
#ifndef CHORUS_SERVER_METRICS_REQUEST_METER_H_
#define CHORUS_SERVER_METRICS_REQUEST_METER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/schedule/token_stream.h"
#include "server/metrics/adapter_usage.h"
#include "server/metrics/server_metrics.h"

namespace chorus::server {

struct MeteredRequest {
  std::string tenant;
  std::string adapter;  // its name; empty: the base model
  int32_t num_choices = 1;
  int32_t max_tokens = 1;
  absl::Time arrival;
};

// One thread at a time; `metrics` outlives it. A request that never was admitted counts in
// CallEnded alone and leaves no trace in the histograms.
class RequestMeter {
 public:
  RequestMeter(ServerMetrics* metrics, const MeteredRequest& request);
  RequestMeter(RequestMeter&&) = default;
  RequestMeter& operator=(RequestMeter&&) = delete;

  // `cached_tokens` of the prompt were found in the prefix cache.
  void Admitted(absl::Duration queue_time, int32_t prompt_tokens, int32_t cached_tokens);
  // `count` further tokens of a choice, as the client gets them.
  void Tokens(int32_t choice, int32_t count, absl::Time now);
  void ChoiceEnded(engine::FinishReason reason);
  // Nothing follows. Without `usage_reported` (the client cancelled the call, so that it hears no
  // more) what it used is counted apart as well.
  void Ended(bool usage_reported, absl::Time now);

  // Since arrival; zero before the first token.
  absl::Duration time_to_first_token() const { return time_to_first_token_; }
  int32_t completion_tokens() const { return completion_tokens_; }

 private:
  struct Choice {
    int32_t tokens = 0;
    absl::Time first;  // token
    absl::Time last;
  };

  void RecordPhases();

  const RequestSeries* series_;
  std::shared_ptr<AdapterUsage> usage_;  // shared with the table, which may forget it first
  absl::Time arrival_;
  int32_t max_tokens_;
  bool admitted_ = false;
  absl::Time admission_;
  int32_t prompt_tokens_ = 0;
  int32_t completion_tokens_ = 0;
  absl::Duration time_to_first_token_;
  absl::Time last_token_;  // of any choice
  std::vector<Choice> choices_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_METRICS_REQUEST_METER_H_
