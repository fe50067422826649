// chorus chat: history, commands, Ctrl-C.
#include <signal.h>

#include <thread>

#include "gmock/gmock.h"
#include "server/cli/interrupts.h"
#include "server/cli/line_reader.h"
#include "tests/server/cli/fake_server.h"
#include "tests/server/cli/test_console.h"

namespace chorus::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Messages(const v1::GenerateRequest& request) {
  std::vector<std::string> messages;
  for (const v1::ChatMessage& message : request.chat().messages()) {
    messages.push_back(message.role() + ": " + message.content());
  }
  return messages;
}

class ChatTest : public ::testing::Test {
 protected:
  ExitCode Chat(Args args) {
    args.insert(args.begin(), {"chat", "--server", server_.address()});
    return console_.Run(args);
  }

  FakeServer server_;
  TestConsole console_;
};

TEST_F(ChatTest, KeepsTheConversationUntilReset) {
  server_.inference.answers["m"].pieces = {"Ar", "r!"};
  console_.Type("Hello\n\n  How are you?  \n/reset\nAgain\n/quit\nnever sent\n");
  EXPECT_EQ(Chat({"--model", "m", "--system", "Be brief.", "--max-tokens", "9"}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(), "Arr!\nArr!\nArr!\n");
  const auto requests = server_.inference.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].max_tokens(), 9);
  EXPECT_THAT(Messages(requests[0]), ElementsAre("system: Be brief.", "user: Hello"));
  EXPECT_THAT(Messages(requests[1]), ElementsAre("system: Be brief.", "user: Hello",
                                                 "assistant: Arr!", "user: How are you?"));
  EXPECT_THAT(Messages(requests[2]), ElementsAre("system: Be brief.", "user: Again"));
}

TEST_F(ChatTest, SaysWhenThePromptDoesNotInvokeTheAdapter) {
  server_.inference.answers["m"] = {.pieces = {"Hi."}, .activation = v1::Activation()};
  console_.Type("Hello\n");
  console_.CloseInput();
  EXPECT_EQ(Chat({"--model", "m"}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(), "Hi.\n");
  EXPECT_EQ(console_.err.text(), "(the prompt does not invoke m: the base model answered)\n");
}

TEST_F(ChatTest, ARefusedMessageIsForgotten) {
  server_.inference.answers["m"].status =
      Refusal(grpc::StatusCode::INVALID_ARGUMENT, "too long",
              Detail(v1::ErrorDetail::PROMPT_TOO_LONG, "prompt", "at most 10 tokens", "11"));
  console_.Type("One\nTwo\n");
  console_.CloseInput();
  EXPECT_EQ(Chat({"--model", "m"}), ExitCode::kRefused);
  EXPECT_THAT(console_.err.text(), HasSubstr("expected  at most 10 tokens"));
  ASSERT_EQ(server_.inference.requests().size(), 2u);
  EXPECT_THAT(Messages(server_.inference.requests()[1]), ElementsAre("user: Two"));
}

TEST_F(ChatTest, ATerminalGetsPrompts) {
  server_.inference.answers["m"].pieces = {"Hi."};
  console_.in_is_terminal = true;
  console_.Type("Hello\n/what\n");
  console_.CloseInput();
  EXPECT_EQ(Chat({"--model", "m"}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(), "you> m> Hi.\nyou> you> \n");
  EXPECT_THAT(console_.err.text(), HasSubstr("/reset"));
}

TEST_F(ChatTest, CtrlCStopsTheAnswerAndTwiceTheProgram) {
  server_.inference.answers["m"].pieces = {"A long story"};
  server_.inference.answers["m"].until_cancel = true;
  console_.Type("Tell me\n");
  std::thread user([this] {
    console_.out.Await("A long story", 1);
    kill(getpid(), SIGINT);  // stops the answer
    console_.err.Await("(stopped)", 1);
    console_.Type("Go on\n");
    console_.out.Await("A long story", 2);
    kill(getpid(), SIGINT);  // stops this one
    console_.err.Await("(stopped)", 2);
    kill(getpid(), SIGINT);  // nothing runs: ends
  });
  EXPECT_EQ(Chat({"--model", "m"}), ExitCode::kOk);
  user.join();
  const auto requests = server_.inference.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_THAT(Messages(requests[1]),
              ElementsAre("user: Tell me", "assistant: A long story", "user: Go on"));
}

TEST(InterruptsTest, AreTakenOnceAndGiveTheOldHandlerBack) {
  struct sigaction before {};
  sigaction(SIGINT, nullptr, &before);
  {
    Interrupts interrupts;
    EXPECT_FALSE(interrupts.Take());
    raise(SIGINT);
    raise(SIGINT);
    EXPECT_TRUE(interrupts.Take());
    EXPECT_FALSE(interrupts.Take());
  }
  struct sigaction after {};
  sigaction(SIGINT, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST(LineReaderTest, LinesInterruptsAndTheEnd) {
  Interrupts interrupts;
  TestConsole console;
  LineReader reader(console.console().in_fd, &interrupts);
  std::string line;
  console.Type("one\ntwo");
  EXPECT_EQ(reader.Next(&line), LineReader::Event::kLine);
  EXPECT_EQ(line, "one");
  raise(SIGINT);
  EXPECT_EQ(reader.Next(&line), LineReader::Event::kInterrupt);
  console.CloseInput();
  EXPECT_EQ(reader.Next(&line), LineReader::Event::kLine);
  EXPECT_EQ(line, "two");
  EXPECT_EQ(reader.Next(&line), LineReader::Event::kEnd);
}

}  // namespace
}  // namespace chorus::cli
