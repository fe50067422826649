#include "server/metrics/request_series.h"

#include <map>
#include <vector>

namespace chorus::server {
namespace {

using prometheus::Counter;
using prometheus::Histogram;
using Labels = std::map<std::string, std::string>;
using Buckets = Histogram::BucketBoundaries;

// vLLM's, so that a dashboard made for it compares the two.
const Buckets& FirstTokenBuckets() {
  static const Buckets* const buckets =
      new Buckets{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                  1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
  return *buckets;
}
const Buckets& TokenBuckets() {
  static const Buckets* const buckets = new Buckets{.01, .025, .05, .075, .1,  .15, .2, .3, .4, .5,
                                                    .75, 1,    2.5, 5,    7.5, 10,  20, 40, 80};
  return *buckets;
}
const Buckets& RequestBuckets() {
  static const Buckets* const buckets = new Buckets{
      .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
  return *buckets;
}

// 1, 2, 5, 10, 20, 50, … up to `most`.
Buckets CountBuckets(int32_t most) {
  Buckets buckets;
  for (int64_t decade = 1; decade <= most; decade *= 10) {
    for (int64_t step : {1, 2, 5}) {
      if (step * decade <= most) buckets.push_back(static_cast<double>(step * decade));
    }
  }
  return buckets;
}

// Registers families under common labels.
class Registrar {
 public:
  Registrar(Labels labels, prometheus::Registry* registry)
      : labels_(std::move(labels)), registry_(registry) {}

  Histogram* AddHistogram(const char* name, const char* help, const Buckets& buckets) {
    return &prometheus::BuildHistogram()
                .Name(name)
                .Help(help)
                .Labels(labels_)
                .Register(*registry_)
                .Add({}, buckets);
  }

  // A family whose series differ in the label `key`.
  Counter* AddCounter(const char* name, const char* help, const Labels& more = {}) {
    return &prometheus::BuildCounter()
                .Name(name)
                .Help(help)
                .Labels(labels_)
                .Register(*registry_)
                .Add(more);
  }

 private:
  const Labels labels_;
  prometheus::Registry* const registry_;
};

// Ours, and what vLLM calls it.
struct FinishName {
  const char* ours;
  const char* vllm;
};
constexpr FinishName kFinishNames[kNumFinishReasons] = {
    {"stop", "stop"},       {"length", "length"},     {"deadline", "abort"},
    {"cancelled", "abort"}, {"slow_reader", "abort"}, {"error", "error"},
};

void AddLatencies(Registrar* all, RequestSeries* series) {
  series->time_to_first_token =
      all->AddHistogram("vllm:time_to_first_token_seconds",
                        "Time from arrival to a request's first token.", FirstTokenBuckets());
  series->inter_token_latency = all->AddHistogram(
      "vllm:inter_token_latency_seconds", "Time between two tokens of a choice.", TokenBuckets());
  series->time_per_output_token =
      all->AddHistogram("vllm:request_time_per_output_token_seconds",
                        "A choice's mean time for each token after the first.", TokenBuckets());
  series->queue_time = all->AddHistogram("vllm:request_queue_time_seconds",
                                         "Time from arrival to admission.", RequestBuckets());
  series->prefill_time =
      all->AddHistogram("vllm:request_prefill_time_seconds",
                        "Time from admission to the first token.", RequestBuckets());
  series->decode_time =
      all->AddHistogram("vllm:request_decode_time_seconds",
                        "Time from the first token to the last.", RequestBuckets());
  series->inference_time =
      all->AddHistogram("vllm:request_inference_time_seconds",
                        "Time from admission to the last token.", RequestBuckets());
  series->e2e_latency = all->AddHistogram("vllm:e2e_request_latency_seconds",
                                          "Time from arrival to the end.", RequestBuckets());
}

}  // namespace

RequestSeries::RequestSeries(const std::string& model_name, int32_t context_tokens,
                             prometheus::Registry* registry) {
  Registrar vllm({{"model_name", model_name}, {"engine", "0"}}, registry);
  Registrar ours({}, registry);
  AddLatencies(&vllm, this);
  const Buckets counts = CountBuckets(context_tokens);
  request_prompt_tokens =
      vllm.AddHistogram("vllm:request_prompt_tokens", "Prompt tokens of a request.", counts);
  request_generation_tokens = vllm.AddHistogram("vllm:request_generation_tokens",
                                                "Tokens generated for a request.", counts);
  params_n = vllm.AddHistogram("vllm:request_params_n", "Choices asked for.", {1, 2, 5, 10, 20});
  params_max_tokens =
      vllm.AddHistogram("vllm:request_params_max_tokens", "max_tokens of a request.", counts);
  prompt_tokens =
      vllm.AddCounter("vllm:prompt_tokens_total", "Prompt tokens of admitted requests.");
  prompt_tokens_cached = vllm.AddCounter("vllm:prompt_tokens_cached_total",
                                         "Those of them found in the prefix cache.");
  generation_tokens =
      vllm.AddCounter("vllm:generation_tokens_total", "Tokens generated for clients.");
  const char* unreported = "chorus_unreported_tokens_total";
  const char* unreported_help =
      "Tokens of requests whose client cancelled the call, so that it never heard of them.";
  unreported_prompt_tokens = ours.AddCounter(unreported, unreported_help, {{"kind", "prompt"}});
  unreported_generation_tokens =
      ours.AddCounter(unreported, unreported_help, {{"kind", "generation"}});
  for (size_t i = 0; i < kNumFinishReasons; ++i) {
    choices_finished[i] =
        ours.AddCounter("chorus_choices_finished_total", "Choices that ended, by reason.",
                        {{"reason", kFinishNames[i].ours}});
    request_success[i] =
        vllm.AddCounter("vllm:request_success_total", "Choices that ended, by vLLM's reasons.",
                        {{"finished_reason", kFinishNames[i].vllm}});
  }
}

}  // namespace chorus::server
