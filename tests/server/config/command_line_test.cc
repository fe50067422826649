#include "server/config/command_line.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/help_text.h"
#include "server/config/nearest_name.h"
#include "tests/server/config/arguments.h"

namespace chorus::test {
namespace {

using server::CommandLine;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(CommandLineTest, ValuesStandBesideOrBehindTheirFlag) {
  const auto line = Parse({"--model", "/m", "--max-running=3", "--prefix-cache=false"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->action, CommandLine::Action::kRun);
  EXPECT_EQ(line->text, "");
  EXPECT_EQ(line->config.model, "/m");
  EXPECT_EQ(line->config.engine.max_running, 3);
  EXPECT_FALSE(line->config.engine.prefix_cache);
}

TEST(CommandLineTest, SwitchesTakeNoSeparateValue) {
  const auto on = Parse({"--isolate-special-tokens", "--model", "m", "--no-prefix-cache"});
  ASSERT_TRUE(on.ok()) << on.status();
  EXPECT_TRUE(on->config.isolate_special_tokens);
  EXPECT_FALSE(on->config.engine.prefix_cache);
  EXPECT_THAT(ProblemsOf({"--model=m", "--isolate-special-tokens", "true"}),
              HasSubstr("\"true\": expected a flag"));
  EXPECT_THAT(ProblemsOf({"--model=m", "--no-prefix-cache=true"}), HasSubstr("no such flag"));
  EXPECT_THAT(ProblemsOf({"--model=m", "--no-max-running"}), HasSubstr("no such flag"));
}

TEST(CommandLineTest, TheLastOfTwoCounts) {
  const auto line =
      Parse({"--model=m", "--threads=1", "--threads=2", "--no-prefix-cache", "--prefix-cache"});
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->config.threads, 2);
  EXPECT_TRUE(line->config.engine.prefix_cache);
}

TEST(CommandLineTest, FlagsWinOverTheFileWhereverTheyStand) {
  const TemporaryFile file("model: 'of-the-file'\nmax_running: 5\nmax_waiting: 6\nthreads: 3");
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"--config", file.path(), "--max-running=7"},
                                             {"--max-running", "7", "--config=" + file.path()}}) {
    const auto line = Parse(words);
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->config.model, "of-the-file");
    EXPECT_EQ(line->config.engine.max_running, 7);
    EXPECT_EQ(line->config.engine.max_waiting, 6);
    EXPECT_EQ(line->config.threads, 3);
  }
  EXPECT_THAT(ProblemsOf({"--config", file.path(), "--config", file.path()}),
              HasSubstr("--config: expected one file, got two"));
}

TEST(CommandLineTest, HelpAndVersionAnswerWhateverElseStandsThere) {
  for (const char* flag : {"--help", "-h"}) {
    const auto help = Parse({"--nonsense", flag, "--version"});
    ASSERT_TRUE(help.ok());
    EXPECT_EQ(help->action, CommandLine::Action::kHelp);
    EXPECT_EQ(help->text, server::HelpText());
  }
  const auto version = Parse({"--check-config", "--version"});
  ASSERT_TRUE(version.ok());
  EXPECT_EQ(version->action, CommandLine::Action::kVersion);
  EXPECT_THAT(version->text, ::testing::MatchesRegex("chorusd [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(CommandLineTest, UnknownFlagsGetTheNearestOne) {
  EXPECT_EQ(ProblemsOf({"--model=m", "--max-runing", "5"}),
            "--max-runing: no such flag; did you mean --max-running?");
  EXPECT_EQ(ProblemsOf({"--model=m", "--max_running=5"}),
            "--max_running: no such flag; did you mean --max-running?");
  EXPECT_EQ(ProblemsOf({"--model=m", "--chek-config"}),
            "--chek-config: no such flag; did you mean --check-config?");
  EXPECT_EQ(ProblemsOf({"--model=m", "--no-prefix-cash"}),
            "--no-prefix-cash: no such flag; did you mean --no-prefix-cache?");
  EXPECT_EQ(ProblemsOf({"--model=m", "--quantum"}), "--quantum: no such flag; see --help");
  EXPECT_THAT(ProblemsOf({"--model=m", "--" + std::string(10000, 'x')}),
              HasSubstr("no such flag; see --help"));
  EXPECT_THAT(ProblemsOf({"m"}), HasSubstr("\"m\": expected a flag; see --help"));
  EXPECT_THAT(ProblemsOf({"--model=m", "--"}), HasSubstr("\"--\": expected a flag"));
}

TEST(CommandLineTest, SaysEverythingThatIsWrongAtOnce) {
  const std::string problems = ProblemsOf(
      {"--pool-bytes", "1.5.GB", "--foo=1", "--threads=-1", "--max-running", "--listen=0.0.0.0:1"});
  EXPECT_THAT(problems, HasSubstr("--pool-bytes: expected a size from 1MiB to 16TiB, got "
                                  "\"1.5.GB\"\n"));
  EXPECT_THAT(problems, HasSubstr("--foo: no such flag"));
  EXPECT_THAT(problems, HasSubstr("--threads: expected an integer from 0 to 1024, got -1"));
  EXPECT_THAT(problems, HasSubstr("--max-running: expected a value\n"));
  EXPECT_THAT(problems, HasSubstr("--listen: expected a loopback address"));
  EXPECT_THAT(problems, HasSubstr("--model: expected a model's directory, got none"));
}

TEST(CommandLineTest, NumbersAreWholeAndFit) {
  for (const char* text : {"", "x", "1.5", "1e3", "0x5", " 5", "5 ", "+5", "99999999999"}) {
    EXPECT_EQ(ProblemsOf({"--model=m", std::string("--max-loads=") + text}),
              std::string("--max-loads: expected an integer from 1 to 1024, got \"") + text + "\"");
  }
}

TEST(CommandLineTest, FileThatCannotBeReadIsTheOnlyComplaint) {
  EXPECT_THAT(ProblemsOf({"--config", "/nonexistent/f"}), StartsWith("--config: /nonexistent/f"));
  EXPECT_THAT(ProblemsOf({"--config", "/nonexistent/f"}), Not(HasSubstr("--model")));
  const TemporaryFile file("max_runing: 5");
  EXPECT_THAT(ProblemsOf({"--config", file.path()}), Not(HasSubstr("--model")));
}

TEST(CommandLineTest, NoArgumentsAskForTheModel) {
  EXPECT_EQ(ProblemsOf({}), "--model: expected a model's directory, got none");
  EXPECT_FALSE(server::ParseCommandLine(0, nullptr).ok());
}

TEST(NearestNameTest, IsTheOneWithFewestChanges) {
  const std::vector<std::string> names = {"alpha", "beta", "gamma"};
  EXPECT_EQ(server::NearestName("alhpa", names), "");  // two changes are too many in five
  EXPECT_EQ(server::NearestName("alpa", names), "alpha");
  EXPECT_EQ(server::NearestName("gammma", names), "gamma");
  EXPECT_EQ(server::NearestName("beta", names), "beta");
  EXPECT_EQ(server::NearestName("", names), "");
  EXPECT_EQ(server::NearestName("delta-epsilon", names), "");
}

}  // namespace
}  // namespace chorus::test
