#include "server/metrics/request_meter.h"

#include <algorithm>

#include "server/metrics/request_series.h"
#include "server/metrics/server_metrics_impl.h"

namespace chorus::server {

RequestMeter::RequestMeter(ServerMetrics* metrics, const MeteredRequest& request)
    : series_(&metrics->impl_->requests),
      arrival_(request.arrival),
      max_tokens_(request.max_tokens),
      choices_(static_cast<size_t>(std::max(request.num_choices, 1))) {
  if (request.adapter.empty()) return;
  usage_ = metrics->impl_->adapters.Use(request.tenant, request.adapter, request.arrival);
}

void RequestMeter::Admitted(absl::Duration queue_time, int32_t prompt_tokens,
                            int32_t cached_tokens) {
  admitted_ = true;
  admission_ = arrival_ + queue_time;
  prompt_tokens_ = prompt_tokens;
  series_->queue_time->Observe(absl::ToDoubleSeconds(queue_time));
  series_->prompt_tokens->Increment(prompt_tokens);
  series_->prompt_tokens_cached->Increment(cached_tokens);
  series_->request_prompt_tokens->Observe(prompt_tokens);
  series_->params_n->Observe(static_cast<double>(choices_.size()));
  series_->params_max_tokens->Observe(max_tokens_);
  if (usage_ == nullptr) return;
  usage_->requests.fetch_add(1, std::memory_order_relaxed);
  usage_->prompt_tokens.fetch_add(static_cast<uint64_t>(prompt_tokens), std::memory_order_relaxed);
}

void RequestMeter::Tokens(int32_t choice, int32_t count, absl::Time now) {
  if (count <= 0) return;
  if (completion_tokens_ == 0) {
    time_to_first_token_ = now - arrival_;
    series_->time_to_first_token->Observe(absl::ToDoubleSeconds(time_to_first_token_));
  }
  Choice& of = choices_[static_cast<size_t>(choice)];
  if (of.tokens > 0) {
    // Tokens that wait for one another (half a character, a stop string) come together: each counts
    // with its share.
    const double each = absl::ToDoubleSeconds(now - of.last) / count;
    for (int32_t i = 0; i < count; ++i) series_->inter_token_latency->Observe(each);
  }
  if (of.tokens == 0) of.first = now;
  of.tokens += count;
  of.last = now;
  last_token_ = now;
  completion_tokens_ += count;
  series_->generation_tokens->Increment(count);
  if (usage_ == nullptr) return;
  usage_->generation_tokens.fetch_add(static_cast<uint64_t>(count), std::memory_order_relaxed);
}

void RequestMeter::ChoiceEnded(engine::FinishReason reason) {
  series_->choices_finished[static_cast<size_t>(reason)]->Increment();
  series_->request_success[static_cast<size_t>(reason)]->Increment();
}

void RequestMeter::Ended(bool usage_reported, absl::Time now) {
  if (!admitted_) return;
  admitted_ = false;
  series_->e2e_latency->Observe(absl::ToDoubleSeconds(now - arrival_));
  series_->request_generation_tokens->Observe(completion_tokens_);
  if (completion_tokens_ > 0) RecordPhases();
  if (usage_reported) return;
  series_->unreported_prompt_tokens->Increment(prompt_tokens_);
  series_->unreported_generation_tokens->Increment(completion_tokens_);
}

void RequestMeter::RecordPhases() {
  const absl::Time first_token = arrival_ + time_to_first_token_;
  series_->prefill_time->Observe(absl::ToDoubleSeconds(first_token - admission_));
  series_->decode_time->Observe(absl::ToDoubleSeconds(last_token_ - first_token));
  series_->inference_time->Observe(absl::ToDoubleSeconds(last_token_ - admission_));
  for (const Choice& of : choices_) {
    if (of.tokens < 2) continue;
    const double decode = absl::ToDoubleSeconds(of.last - of.first);
    series_->time_per_output_token->Observe(decode / (of.tokens - 1));
  }
}

}  // namespace chorus::server
