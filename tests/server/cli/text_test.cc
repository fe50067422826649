// Errors, quantities, tables and flags, as people read them.
#include "gmock/gmock.h"
#include "server/cli/error_text.h"
#include "server/cli/options.h"
#include "server/cli/printable.h"
#include "server/cli/table.h"
#include "server/cli/units.h"
#include "tests/server/cli/fake_server.h"
#include "tests/server/cli/test_console.h"

namespace chorus::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kAddress[] = "127.0.0.1:50051";

TEST(ErrorTextTest, SaysWhatExpectedGotAndWhenToTryAgain) {
  const grpc::Status status =
      Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue: expected at most 100, got 101",
              Detail(v1::ErrorDetail::QUEUE_FULL, "queue", "at most 100 requests", "101", 1500));
  EXPECT_EQ(ErrorText(status, kAddress),
            "refused: queue\n"
            "  expected  at most 100 requests\n"
            "  got       101\n"
            "  reason    QUEUE_FULL (RESOURCE_EXHAUSTED)\n"
            "  hint      try again in 1.50 s\n");
  EXPECT_EQ(ExitCodeOf(status), ExitCode::kRefused);
}

TEST(ErrorTextTest, AServerThatRefusesIsNotOutOfReach) {
  const grpc::Status draining = Refusal(grpc::StatusCode::UNAVAILABLE, "the server is draining",
                                        Detail(v1::ErrorDetail::DRAINING, "", "", "", 0));
  EXPECT_EQ(ExitCodeOf(draining), ExitCode::kRefused);
  EXPECT_EQ(ErrorText(draining, kAddress),
            "refused: the server is draining\n  reason    DRAINING (UNAVAILABLE)\n");
  const grpc::Status gone(grpc::StatusCode::UNAVAILABLE,
                          "failed to connect to all addresses; last error: UNKNOWN: "
                          "ipv4:127.0.0.1:50051: Failed to connect to remote host: Connection "
                          "refused");
  EXPECT_EQ(ExitCodeOf(gone), ExitCode::kUnreachable);
  EXPECT_EQ(ErrorLine(gone, kAddress),
            "cannot reach the server at 127.0.0.1:50051: Connection refused");
  const grpc::Status lost(grpc::StatusCode::UNAVAILABLE, "Socket closed");
  EXPECT_EQ(ExitCodeOf(lost), ExitCode::kUnreachable);
  EXPECT_EQ(ErrorLine(lost, kAddress), "lost the server at 127.0.0.1:50051: Socket closed");
}

TEST(ErrorTextTest, DetailsThatAreNotOursAreLeftOut) {
  const grpc::Status garbage(grpc::StatusCode::INTERNAL, "broken", "\xFF\xFF not a message");
  EXPECT_FALSE(DetailOf(garbage).has_value());
  EXPECT_EQ(ErrorText(garbage, kAddress), "refused: broken\n  reason    INTERNAL\n");
  const grpc::Status silent(grpc::StatusCode::UNIMPLEMENTED, "");
  EXPECT_EQ(ErrorText(silent, kAddress), "refused: UNIMPLEMENTED\n  reason    UNIMPLEMENTED\n");
}

TEST(ErrorTextTest, AReasonOfALaterServerIsANumber) {
  v1::ErrorDetail detail = Detail(v1::ErrorDetail::UNSPECIFIED, "thing", "a", "b");
  detail.set_reason(static_cast<v1::ErrorDetail::Reason>(999));
  EXPECT_THAT(ErrorText(Refusal(grpc::StatusCode::INVALID_ARGUMENT, "thing", detail), kAddress),
              HasSubstr("reason    reason 999 (INVALID_ARGUMENT)"));
}

TEST(ErrorTextTest, WhatComesFromElsewhereMovesNoCursor) {
  const grpc::Status status =
      Refusal(grpc::StatusCode::INVALID_ARGUMENT, "x",
              Detail(v1::ErrorDetail::VALUE_OUT_OF_RANGE, "tensor \x1b[2J", "a", "\x07"));
  EXPECT_THAT(ErrorText(status, kAddress), HasSubstr("tensor ␛[2J\n"));
  EXPECT_THAT(ErrorText(status, kAddress), HasSubstr("got       ␇\n"));
}

TEST(PrintableTest, ShowsControlsAndBytesThatAreNotUtf8) {
  EXPECT_EQ(Printable("a\tb\nc"), "a\tb\nc");
  EXPECT_EQ(Printable(absl::string_view("\0\x1b\x7f", 3)), "␀␛\uFFFD");
  EXPECT_EQ(Printable("\xC3(\xE2\x80"), "\uFFFD(\uFFFD\uFFFD");
  EXPECT_EQ(Printable("\u009b2J\u202Eabc"), "\uFFFD2J\uFFFDabc");
  EXPECT_EQ(Quoted("a\"b\\\n\xE2\x82"), R"("a\"b\\\n\xe2\x82")");
}

TEST(PrintableTest, FittedTextHasItsWidth) {
  EXPECT_EQ(Fitted("abc", 5), "abc  ");
  EXPECT_EQ(Fitted("abcdef", 5), "abcd…");
  EXPECT_EQ(Fitted("日本語", 5), "日本…");
  EXPECT_EQ(Fitted("日本語", 4), "日… ");
  EXPECT_EQ(DisplayWidth("日本語é"), 7);
}

TEST(UnitsTest, ReadWell) {
  EXPECT_EQ(BytesText(999), "999 B");
  EXPECT_EQ(BytesText(1000), "1.00 kB");
  EXPECT_EQ(BytesText(999'499), "999 kB");
  EXPECT_EQ(BytesText(999'500), "1.00 MB");
  EXPECT_EQ(BytesText(80'100'000), "80.1 MB");
  EXPECT_EQ(BytesText(UINT64_MAX), "18446744 TB");
  EXPECT_EQ(DurationText(absl::Microseconds(850)), "850 µs");
  EXPECT_EQ(DurationText(absl::Microseconds(12340)), "12.3 ms");
  EXPECT_EQ(DurationText(absl::Milliseconds(999.9)), "1.00 s");
  EXPECT_EQ(DurationText(absl::Seconds(59.96)), "1 min");
  EXPECT_EQ(DurationText(absl::Seconds(185)), "3 min 5 s");
  EXPECT_EQ(DurationText(absl::Minutes(130)), "2 h 10 min");
  EXPECT_EQ(DurationText(absl::Hours(123)), "5 d 3 h");
  EXPECT_EQ(CountText(0), "0");
  EXPECT_EQ(CountText(1234567), "1,234,567");
  EXPECT_EQ(CountText(-1234), "-1,234");
}

TEST(TableTest, ColumnsAreAsWideAsTheirCells) {
  Table table({"NAME", "N"}, {Table::kLeft, Table::kRight});
  table.Add({"日本", "1"});
  table.Add({"a", "100"});
  EXPECT_EQ(table.Text(),
            "NAME    N\n"
            "日本    1\n"
            "a     100\n");
}

TEST(OptionSetTest, FlagsAndWordsInAnyOrder) {
  OptionSet set("chorus test [flags] A B", "A test.", 1, 2);
  std::optional<float> number;
  std::vector<std::string> many;
  bool on = false;
  absl::Duration time;
  set.Add("--number", "X", "a number", &number);
  set.Add("--many", "TEXT", "again and again", &many);
  set.AddSwitch("--on", "on", &on);
  set.Add("--time", "TIME", "a time", &time);
  TestConsole console;
  const auto parsed = set.Parse(
      {"a", "--number=-1.5", "--many", "--on", "--many", "", "--time", "2m", "--", "--on"},
      console.console());
  ASSERT_FALSE(parsed.exit.has_value()) << console.err.text();
  EXPECT_THAT(parsed.words, ElementsAre("a", "--on"));
  EXPECT_EQ(number, -1.5f);
  EXPECT_THAT(many, ElementsAre("--on", ""));
  EXPECT_FALSE(on);
  EXPECT_EQ(time, absl::Minutes(2));
}

TEST(ChorusTest, EveryCommandHasShortHelpThatFits) {
  TestConsole program;
  ASSERT_EQ(program.Run({"--help"}), ExitCode::kOk);
  std::vector<Args> commands = {{}};
  int found = 0;
  for (const char* name : {"generate", "chat", "status", "tokenize", "cancel", "drain", "bench"}) {
    commands.push_back({name});
  }
  for (const char* name : {"upload", "list", "get", "delete", "pin", "unpin", "watch"}) {
    commands.push_back({"adapters", name});
  }
  for (Args command : commands) {
    TestConsole console;
    std::string name;
    for (const std::string& word : command) name += " " + word;
    command.push_back("--help");
    EXPECT_EQ(console.Run(command), ExitCode::kOk);
    EXPECT_THAT(console.out.text(), HasSubstr("usage: chorus" + name)) << name;
    EXPECT_THAT(program.out.text(), HasSubstr(name));
    const std::string text = console.out.text();
    absl::string_view help = text;
    while (!help.empty()) {
      const size_t end = help.find('\n');
      ASSERT_NE(end, absl::string_view::npos);
      EXPECT_LE(DisplayWidth(help.substr(0, end)), 100) << help.substr(0, end);
      help.remove_prefix(end + 1);
    }
    ++found;
  }
  EXPECT_EQ(found, 15);
}

TEST(ChorusTest, UnknownCommandsAreUsageErrors) {
  TestConsole console;
  EXPECT_EQ(console.Run({}), ExitCode::kUsage);
  EXPECT_EQ(console.Run({"frob"}), ExitCode::kUsage);
  EXPECT_EQ(console.Run({"adapters", "frob"}), ExitCode::kUsage);
  EXPECT_EQ(console.Run({"adapters"}), ExitCode::kUsage);
  EXPECT_EQ(console.out.text(), "");
}

}  // namespace
}  // namespace chorus::cli
