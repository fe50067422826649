// What the engine says, as the messages that clients get.
#include "server/generate/answer.h"

#include "engine/refusal.h"
#include "gtest/gtest.h"
#include "tests/support/byte_tokenizer.h"

namespace chorus::server {
namespace {

using engine::FinishReason;
using engine::StreamEvent;

StreamEvent Token(int32_t id, int32_t choice = 0) {
  StreamEvent event{.kind = StreamEvent::Kind::kToken, .choice = choice};
  event.token.token = id;
  event.token.logprob = -0.5f;
  event.token.top = {{id, -0.5f}, {'z', -1.5f}};
  return event;
}

StreamEvent End(FinishReason reason, int32_t choice = 0, int32_t stop_token = -1) {
  return {.kind = StreamEvent::Kind::kFinished,
          .choice = choice,
          .reason = reason,
          .stop_token = stop_token};
}

class AnswerTest : public testing::Test {
 protected:
  const test::ByteTokenizer tokenizer_{{"STO", "P"}};
};

TEST_F(AnswerTest, OneMessageHoldsAllThatCameOfAChoice) {
  Answer answer(&tokenizer_, {.num_choices = 2});
  v1::GenerateResponse message;
  answer.Take(Token('a', 0), &message);
  answer.Take(Token('x', 1), &message);
  answer.Take(Token('b', 0), &message);
  ASSERT_EQ(message.choices_size(), 2);
  EXPECT_EQ(message.choices(0).text(), "ab");
  EXPECT_EQ(message.choices(0).token_ids_size(), 2);
  EXPECT_EQ(message.choices(1).index(), 1);
  EXPECT_EQ(message.choices(1).text(), "x");
  EXPECT_EQ(message.choices(0).logprobs_size(), 0);
  EXPECT_FALSE(answer.ended());
}

TEST_F(AnswerTest, LogprobsCarryTheBytesOfHalfCharacters) {
  Answer answer(&tokenizer_, {.logprobs = true});
  v1::GenerateResponse message;
  answer.Take(Token(0xC3), &message);
  ASSERT_EQ(message.choices_size(), 1);
  EXPECT_EQ(message.choices(0).text(), "");
  ASSERT_EQ(message.choices(0).logprobs_size(), 1);
  EXPECT_EQ(message.choices(0).logprobs(0).token().bytes(), "\xC3");
  EXPECT_EQ(message.choices(0).logprobs(0).token().logprob(), -0.5f);
  EXPECT_EQ(message.choices(0).logprobs(0).top(1).token_id(), 'z');
}

TEST_F(AnswerTest, AStopStringEndsTheChoiceAndWhatFollowsIsNotHeard) {
  Answer answer(&tokenizer_, {.num_choices = 2, .stops = {"STOP"}});
  v1::GenerateResponse message;
  for (const int32_t id : {int32_t{'a'}, 256, 257, int32_t{'b'}}) {
    answer.Take(Token(id), &message);
  }
  answer.Take(End(FinishReason::kLength), &message);
  EXPECT_EQ(answer.TakeStopped(), std::vector<int32_t>{0});
  EXPECT_TRUE(answer.TakeStopped().empty());
  ASSERT_EQ(message.choices_size(), 1);
  EXPECT_EQ(message.choices(0).text(), "a");
  EXPECT_EQ(message.choices(0).finish_reason(), v1::STOP);
  EXPECT_EQ(message.choices(0).stop_string(), "STOP");
  EXPECT_FALSE(message.choices(0).has_stop_token_id());
  EXPECT_EQ(answer.completion_tokens(), 1);
  EXPECT_FALSE(answer.ended());
  answer.Take(End(FinishReason::kStop, 1, 7), &message);
  EXPECT_TRUE(answer.ended());
  EXPECT_EQ(message.choices(1).stop_token_id(), 7);
}

TEST_F(AnswerTest, HeldTextComesOutAtTheEnd) {
  Answer answer(&tokenizer_, {.stops = {"STOP"}});
  v1::GenerateResponse message;
  answer.Take(Token(256), &message);
  EXPECT_EQ(message.choices_size(), 0);
  answer.Take(End(FinishReason::kDeadline), &message);
  ASSERT_EQ(message.choices_size(), 1);
  EXPECT_EQ(message.choices(0).text(), "STO");
  EXPECT_EQ(message.choices(0).token_ids_size(), 1);
  EXPECT_EQ(message.choices(0).finish_reason(), v1::DEADLINE);
  EXPECT_EQ(answer.completion_tokens(), 1);
}

TEST_F(AnswerTest, AnErrorOfOneChoiceFailsTheAnswer) {
  Answer answer(&tokenizer_, {.num_choices = 2});
  v1::GenerateResponse message;
  StreamEvent event = End(FinishReason::kError, 1);
  event.status = absl::DataLossError("gone");
  answer.Take(event, &message);
  EXPECT_TRUE(answer.ended());
  EXPECT_EQ(answer.failure(), absl::DataLossError("gone"));

  Answer slow(&tokenizer_, {});
  slow.Take(End(FinishReason::kSlowReader), &message);
  ASSERT_TRUE(engine::RefusalOf(slow.failure()).has_value());
  EXPECT_EQ(engine::RefusalOf(slow.failure())->reason, engine::Reason::kSlowReader);
}

}  // namespace
}  // namespace chorus::server
