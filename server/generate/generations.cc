#include "server/generate/generations.h"

#include <utility>
#include <vector>

#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::server {

using kernels::MutexLock;

namespace {

// The engine knows the id with its tenant before it.
absl::Status IdInUse(const std::string& request_id) {
  return engine::MakeRefusal(absl::StatusCode::kAlreadyExists,
                             {engine::Reason::kRequestIdInUse, "request_id",
                              "one that no live request has", engine::Quoted(request_id)});
}

}  // namespace

Generations::Generations(engine::Engine* engine, const engine::Tokenizer* tokenizer,
                         ServerMetrics* metrics, std::shared_ptr<engine::StreamBell> bell,
                         const engine::Clock* clock)
    : engine_(engine),
      tokenizer_(tokenizer),
      metrics_(metrics),
      bell_(std::move(bell)),
      clock_(clock),
      listener_([this] { Listen(); }) {}

Generations::~Generations() {
  bell_->Close();
  listener_.join();
}

absl::StatusOr<std::shared_ptr<Generation>> Generations::Begin(BuiltRequest built,
                                                               absl::Time arrival,
                                                               std::shared_ptr<AnswerSink> sink) {
  const engine::GenerateRequest& spec = built.engine;
  RequestMeter meter(metrics_, {.tenant = spec.tenant,
                                .adapter = spec.adapter == nullptr ? "" : spec.adapter->name(),
                                .num_choices = spec.num_choices,
                                .max_tokens = spec.max_tokens,
                                .arrival = arrival});
  const auto generation =
      std::make_shared<Generation>(engine_, tokenizer_, built, std::move(meter), sink, clock_);
  absl::StatusOr<std::shared_ptr<engine::TokenStream>> submitted =
      engine_->Submit(std::move(built.engine));
  if (absl::IsAlreadyExists(submitted.status())) return IdInUse(built.started.request_id());
  CHORUS_ASSIGN_OR_RETURN(std::shared_ptr<engine::TokenStream> stream, std::move(submitted));
  {
    MutexLock lock(&mutex_);
    streams_[generation.get()] = stream.get();
    by_stream_[stream.get()] = generation;
  }
  sink->Attach(generation);
  generation->Start(std::move(stream));
  // The bell may have rung for the stream before anybody knew whose it is.
  if (generation->OnNews()) Remove(generation.get());
  return generation;
}

void Generations::OnWritten(const std::shared_ptr<Generation>& generation) {
  if (generation->OnWritten()) Remove(generation.get());
}

void Generations::OnClientGone(const std::shared_ptr<Generation>& generation) {
  if (generation->OnClientGone()) Remove(generation.get());
}

void Generations::Cancel(const std::string& tenant, const std::string& request_id) {
  engine_->Cancel(EngineRequestId(tenant, request_id), -1, engine::FinishReason::kCancelled);
}

void Generations::CutStalled(int limit) {
  std::vector<std::shared_ptr<Generation>> all;
  {
    MutexLock lock(&mutex_);
    for (const auto& [stream, generation] : by_stream_) all.push_back(generation);
  }
  for (const std::shared_ptr<Generation>& generation : all) {
    if (generation->CutIfStalled(limit)) metrics_->SlowReaderCut();
  }
}

void Generations::Listen() {
  while (true) {
    const std::vector<std::shared_ptr<engine::TokenStream>> rung = bell_->Wait();
    if (rung.empty()) return;
    for (const std::shared_ptr<engine::TokenStream>& stream : rung) {
      std::shared_ptr<Generation> generation;
      {
        MutexLock lock(&mutex_);
        const auto found = by_stream_.find(stream.get());
        if (found == by_stream_.end()) continue;
        generation = found->second;
      }
      if (generation->OnNews()) Remove(generation.get());
    }
  }
}

void Generations::Remove(const Generation* generation) {
  MutexLock lock(&mutex_);
  const auto found = streams_.find(generation);
  if (found == streams_.end()) return;
  by_stream_.erase(found->second);
  streams_.erase(found);
}

}  // namespace chorus::server
