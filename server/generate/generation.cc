#include "server/generate/generation.h"

#include <utility>

#include "engine/refusal.h"
#include "server/log/log.h"

namespace chorus::server {
namespace {

using engine::FinishReason;
using engine::StreamEvent;
using kernels::MutexLock;

FinishReason FromProto(v1::FinishReason reason) {
  switch (reason) {
    case v1::LENGTH:
      return FinishReason::kLength;
    case v1::DEADLINE:
      return FinishReason::kDeadline;
    case v1::CANCELLED:
      return FinishReason::kCancelled;
    default:
      return FinishReason::kStop;
  }
}

bool IsEmpty(const v1::GenerateResponse& message) { return message.choices().empty(); }

}  // namespace

Generation::Generation(engine::Engine* engine, const engine::Tokenizer* tokenizer,
                       const BuiltRequest& built, RequestMeter meter,
                       std::shared_ptr<AnswerSink> sink, const engine::Clock* clock)
    : engine_(engine),
      clock_(clock),
      engine_id_(built.engine.request_id),
      prompt_tokens_(static_cast<int32_t>(built.engine.prompt.size())),
      started_(built.started),
      answer_(tokenizer, built.answer),
      meter_(std::move(meter)),
      sink_(std::move(sink)) {}

void Generation::Start(std::shared_ptr<engine::TokenStream> stream) {
  Step step;
  {
    MutexLock lock(&mutex_);
    stream_ = std::move(stream);
    if (sink_ == nullptr) return;  // the client left while the request was built
    *step.message.mutable_started() = started_;
    BeginWrite(&step);
  }
  Do(step);
}

bool Generation::OnNews() {
  Step step;
  bool over = false;
  {
    MutexLock lock(&mutex_);
    if (stream_ == nullptr || writing_ || ended_) return done();
    TakeEvents(&step);
    over = done();
  }
  Do(step);
  return over;
}

bool Generation::OnWritten() {
  {
    MutexLock lock(&mutex_);
    writing_ = false;
  }
  return OnNews();
}

bool Generation::OnClientGone() {
  bool ended = false;
  {
    MutexLock lock(&mutex_);
    sink_.reset();
    writing_ = false;
    ended = ended_;
  }
  // What the engine says of it still is to be counted.
  if (!ended) engine_->Cancel(engine_id_, -1, FinishReason::kCancelled);
  return OnNews();
}

bool Generation::CutIfStalled(int limit) {
  std::shared_ptr<AnswerSink> sink;
  {
    MutexLock lock(&mutex_);
    if (sink_ == nullptr || !writing_ || cut_ || ++sweeps_ <= limit) return false;
    cut_ = true;
    sink = sink_;
  }
  engine_->Cancel(engine_id_, -1, FinishReason::kSlowReader);
  sink->Cut(SlowReader());
  return true;
}

void Generation::TakeEvents(Step* step) {
  const absl::Time now = clock_->Now();
  for (const StreamEvent& event : stream_->Drain()) {
    answer_.Take(event, &step->message);
    if (event.kind == StreamEvent::Kind::kAdmitted) {
      meter_.Admitted(event.queue_time, prompt_tokens_, event.cached_tokens);
    }
  }
  Meter(step->message, now);
  step->stopped = answer_.TakeStopped();
  step->failure = answer_.failure();
  if (answer_.ended()) {
    ended_ = true;
    step->last = true;
    meter_.Ended(sink_ != nullptr, now);
    AddSummary(&step->message);
    if (sink_ == nullptr) {
      LogInfo("generation abandoned", {{"request_id", engine_id_},
                                       {"prompt_tokens", prompt_tokens_},
                                       {"completion_tokens", answer_.completion_tokens()}});
    }
  }
  if (sink_ != nullptr && (step->last || !IsEmpty(step->message))) BeginWrite(step);
}

void Generation::BeginWrite(Step* step) {
  step->sink = sink_;
  writing_ = true;
  sweeps_ = 0;
}

void Generation::Meter(const v1::GenerateResponse& message, absl::Time now) {
  for (const v1::ChoiceDelta& delta : message.choices()) {
    if (delta.token_ids_size() > 0) meter_.Tokens(delta.index(), delta.token_ids_size(), now);
    if (delta.finish_reason() != v1::FINISH_REASON_UNSPECIFIED) {
      meter_.ChoiceEnded(FromProto(delta.finish_reason()));
    }
  }
}

void Generation::AddSummary(v1::GenerateResponse* message) const {
  v1::Summary& summary = *message->mutable_summary();
  summary.mutable_usage()->set_prompt_tokens(prompt_tokens_);
  summary.mutable_usage()->set_cached_tokens(answer_.cached_tokens());
  summary.mutable_usage()->set_completion_tokens(static_cast<int32_t>(answer_.completion_tokens()));
  summary.set_queue_time_us(absl::ToInt64Microseconds(answer_.queue_time()));
  summary.set_time_to_first_token_us(absl::ToInt64Microseconds(meter_.time_to_first_token()));
}

void Generation::Do(const Step& step) {
  for (const int32_t choice : step.stopped) {
    engine_->Cancel(engine_id_, choice, FinishReason::kStop);
  }
  if (!step.failure.ok()) engine_->Cancel(engine_id_, -1, FinishReason::kCancelled);
  if (step.sink == nullptr) return;
  if (step.failure.ok()) {
    step.sink->Write(step.message, step.last);
  } else {
    step.sink->Fail(step.failure);
  }
}

}  // namespace chorus::server
