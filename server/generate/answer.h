// Answer: what the engine says about one request, turned into the messages of its answer: text,
// stop strings, log-probabilities, finish reasons, usage. One thread at a time.
#ifndef CHORUS_SERVER_GENERATE_ANSWER_H_
#define CHORUS_SERVER_GENERATE_ANSWER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "chorus/v1/inference.pb.h"
#include "engine/schedule/token_stream.h"
#include "engine/text/tokenizer.h"
#include "server/generate/choice_text.h"

namespace chorus::server {

// Why a client that does not read what it is sent is cut off.
absl::Status SlowReader();

struct AnswerOptions {
  int32_t num_choices = 1;
  std::vector<std::string> stops;  // none is empty
  bool logprobs = false;
  bool include_special_tokens = false;
};

class Answer {
 public:
  // `tokenizer` must outlive this.
  Answer(const engine::Tokenizer* tokenizer, AnswerOptions options);
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  // Takes the next event and adds to `message` what can be said now.
  void Take(const engine::StreamEvent& event, v1::GenerateResponse* message);

  // Choices that a stop string ended since the last call: the engine is to end them.
  std::vector<int32_t> TakeStopped() { return std::exchange(stopped_, {}); }
  // Every choice has ended, or the answer has failed.
  bool ended() const { return open_choices_ == 0 || !failure_.ok(); }
  // Why the answer ends without being whole; OK when it does not.
  const absl::Status& failure() const { return failure_; }

  int32_t cached_tokens() const { return cached_tokens_; }
  int64_t completion_tokens() const;
  absl::Duration queue_time() const { return queue_time_; }
  bool admitted() const { return admitted_; }
  // How the first choice that ended did.
  v1::FinishReason finish_reason() const { return finish_reason_; }

 private:
  struct Choice {
    std::unique_ptr<ChoiceText> text;
    std::deque<kernels::SampledToken> held;  // tokens that the text has not released
    int64_t released = 0;
    bool ended = false;
  };

  v1::ChoiceDelta* DeltaOf(int32_t index, v1::GenerateResponse* message) const;
  void AddReleased(int32_t index, v1::GenerateResponse* message);
  void AddToken(const kernels::SampledToken& token, v1::ChoiceDelta* delta) const;
  void AddLogprob(int32_t token, float logprob, v1::TokenLogprob* out) const;
  void EndChoice(int32_t index, v1::FinishReason reason, int32_t stop_token,
                 v1::GenerateResponse* message);

  const engine::Tokenizer* const tokenizer_;
  const AnswerOptions options_;
  std::vector<Choice> choices_;
  std::vector<int32_t> stopped_;
  int32_t open_choices_;
  absl::Status failure_;
  int32_t cached_tokens_ = 0;
  absl::Duration queue_time_;
  bool admitted_ = false;
  v1::FinishReason finish_reason_ = v1::FINISH_REASON_UNSPECIFIED;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GENERATE_ANSWER_H_
