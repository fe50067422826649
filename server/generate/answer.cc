#include "server/generate/answer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"

namespace chorus::server {
namespace {

using engine::FinishReason;
using engine::StreamEvent;

v1::FinishReason ToProto(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return v1::STOP;
    case FinishReason::kLength:
      return v1::LENGTH;
    case FinishReason::kDeadline:
      return v1::DEADLINE;
    case FinishReason::kCancelled:
      return v1::CANCELLED;
    case FinishReason::kSlowReader:
    case FinishReason::kError:
      break;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

}  // namespace

absl::Status SlowReader() {
  return engine::MakeRefusal(
      absl::StatusCode::kResourceExhausted,
      {engine::Reason::kSlowReader, "stream", "a client that reads", "one that stays behind"});
}

Answer::Answer(const engine::Tokenizer* tokenizer, AnswerOptions options)
    : tokenizer_(tokenizer), options_(std::move(options)), open_choices_(options_.num_choices) {
  for (int32_t i = 0; i < options_.num_choices; ++i) {
    Choice choice;
    choice.text =
        std::make_unique<ChoiceText>(tokenizer, &options_.stops, !options_.include_special_tokens);
    choices_.push_back(std::move(choice));
  }
}

void Answer::Take(const StreamEvent& event, v1::GenerateResponse* message) {
  if (event.kind == StreamEvent::Kind::kAdmitted) {
    admitted_ = true;
    cached_tokens_ = event.cached_tokens;
    queue_time_ = event.queue_time;
    return;
  }
  Choice& choice = choices_.at(static_cast<size_t>(event.choice));
  if (choice.ended) return;  // what the engine said before it heard of the stop string
  if (event.kind == StreamEvent::Kind::kToken) {
    choice.text->Push(event.token.token);
    choice.held.push_back(event.token);
    AddReleased(event.choice, message);
    if (choice.text->stop() != nullptr) {
      stopped_.push_back(event.choice);
      EndChoice(event.choice, v1::STOP, -1, message);
    }
    return;
  }
  if (event.reason == FinishReason::kError || event.reason == FinishReason::kSlowReader) {
    choice.ended = true;
    failure_.Update(event.reason == FinishReason::kError ? event.status : SlowReader());
    return;
  }
  choice.text->Finish();
  AddReleased(event.choice, message);
  const bool stopped = choice.text->stop() != nullptr;  // by the text that was held back
  EndChoice(event.choice, stopped ? v1::STOP : ToProto(event.reason),
            stopped ? -1 : event.stop_token, message);
}

int64_t Answer::completion_tokens() const {
  int64_t tokens = 0;
  for (const Choice& choice : choices_) tokens += choice.released;
  return tokens;
}

v1::ChoiceDelta* Answer::DeltaOf(int32_t index, v1::GenerateResponse* message) const {
  for (v1::ChoiceDelta& delta : *message->mutable_choices()) {
    if (delta.index() == index) return &delta;
  }
  v1::ChoiceDelta* const delta = message->add_choices();
  delta->set_index(index);
  return delta;
}

void Answer::AddReleased(int32_t index, v1::GenerateResponse* message) {
  Choice& choice = choices_[static_cast<size_t>(index)];
  const std::string text = choice.text->TakeText();
  if (text.empty() && choice.released == choice.text->released_tokens()) return;
  v1::ChoiceDelta* const delta = DeltaOf(index, message);
  delta->mutable_text()->append(text);
  for (; choice.released < choice.text->released_tokens(); ++choice.released) {
    AddToken(choice.held.front(), delta);
    choice.held.pop_front();
  }
}

void Answer::AddToken(const kernels::SampledToken& token, v1::ChoiceDelta* delta) const {
  delta->add_token_ids(token.token);
  if (!options_.logprobs) return;
  v1::TokenLogprobs* const logprobs = delta->add_logprobs();
  AddLogprob(token.token, token.logprob, logprobs->mutable_token());
  for (const kernels::TokenLogprob& best : token.top) {
    AddLogprob(best.token, best.logprob, logprobs->add_top());
  }
}

void Answer::AddLogprob(int32_t token, float logprob, v1::TokenLogprob* out) const {
  out->set_token_id(token);
  out->set_logprob(logprob);
  out->set_bytes(tokenizer_->TokenBytes(token));
}

void Answer::EndChoice(int32_t index, v1::FinishReason reason, int32_t stop_token,
                       v1::GenerateResponse* message) {
  Choice& choice = choices_[static_cast<size_t>(index)];
  choice.ended = true;
  choice.held.clear();
  --open_choices_;
  if (finish_reason_ == v1::FINISH_REASON_UNSPECIFIED) finish_reason_ = reason;
  v1::ChoiceDelta* const delta = DeltaOf(index, message);
  delta->set_finish_reason(reason);
  if (choice.text->stop() != nullptr) delta->set_stop_string(*choice.text->stop());
  if (stop_token >= 0) delta->set_stop_token_id(stop_token);
}

}  // namespace chorus::server
