// Random command lines: each is refused in words or gives a configuration that reads back the same.
#include <random>

#include "absl/strings/str_split.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "server/config/config_file.h"
#include "server/config/options.h"
#include "tests/server/config/arguments.h"

namespace chorus::test {
namespace {

using server::CommandLine;
using server::Option;
using server::ServerConfig;

const std::vector<std::string> kValues = {
    "0",       "1",      "7",    "64",        "513",     "-1",       "4097",
    "65536",   "0.5",    "1e-3", "nan",       "1GiB",    "2.5MB",    "3kB",
    "true",    "false",  "auto", "f32",       "none",    "cpu",      "optimistic",
    "",        "=",      "--",   "a path",    "\"'\\",   "\xff\xfe", "127.0.0.1:0",
    "[::1]:5", "unix:s", "a=2",  "a=1,b=1e2", "a=1,a=2", "=1,",      "x=nan"};

std::vector<std::string> RandomWords(std::mt19937* random) {
  const auto below = [&](size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(*random);
  };
  std::vector<std::string> words = {"--model=m", "--check-config"};
  const size_t count = below(6);
  for (size_t i = 0; i < count; ++i) {
    const std::span<const Option> options = server::AllOptions();
    const Option& option = options[below(options.size())];
    const std::string& value = kValues[below(kValues.size())];
    switch (below(8)) {
      case 0:
        words.push_back("--no-" + option.flag().substr(2));
        break;
      case 1:
        words.push_back(option.flag());
        break;
      case 2:
        words.insert(words.end(), {option.flag(), value});
        break;
      case 3:
        words.push_back(option.flag() + value);
        break;
      default:
        words.push_back(option.flag() + "=" + value);
    }
  }
  return words;
}

// The text that --check-config printed, read as a file and printed again.
std::string ReadBack(const std::string& text) {
  v1::Config file;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &file)) << text;
  ServerConfig config;
  std::vector<std::string> problems;
  server::ApplyConfig(file, "text", &config, &problems);
  EXPECT_TRUE(problems.empty());
  return server::ToConfigText(config);
}

TEST(RandomFlagsTest, RefusedInWordsOrReadBackTheSame) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  int good = 0;
  constexpr int kRounds = 5000;
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<std::string> words = RandomWords(&random);
    const auto line = Parse(words);
    if (line.ok()) {
      ++good;
      ASSERT_EQ(line->action, CommandLine::Action::kCheck);
      ASSERT_EQ(ReadBack(line->text), line->text);
      ASSERT_TRUE(line->config.Validate().ok());
      continue;
    }
    ASSERT_EQ(line.status().code(), absl::StatusCode::kInvalidArgument);
    const std::string message(line.status().message());
    for (const std::string& problem : std::vector<std::string>(absl::StrSplit(message, '\n'))) {
      EXPECT_TRUE(problem.find(": ") != std::string::npos && problem.size() < 400) << problem;
    }
  }
  // Both happen often, or the test shows little.
  EXPECT_GT(good, kRounds / 10);
  EXPECT_LT(good, kRounds * 9 / 10);
}

}  // namespace
}  // namespace chorus::test
