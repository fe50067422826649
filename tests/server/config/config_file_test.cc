#include "server/config/config_file.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/config/arguments.h"

namespace chorus::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<v1::Config> Read(const std::string& content) {
  return server::ReadConfigFile(TemporaryFile(content).path());
}

std::string ReadProblem(const std::string& content) {
  const TemporaryFile file(content);
  const auto config = server::ReadConfigFile(file.path());
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << content;
  EXPECT_THAT(std::string(config.status().message()), StartsWith(file.path()));
  return std::string(config.status().message()).substr(file.path().size());
}

TEST(ConfigFileTest, TellsTextFromJsonByTheFirstCharacter) {
  for (const char* content : {"max_running: 3", "# a comment\nmax_running: 3\n",
                              "{\"max_running\": 3}", " \n\t {\"maxRunning\": 3}"}) {
    const auto config = Read(content);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->max_running(), 3) << content;
  }
  EXPECT_TRUE(Read("").ok());
  EXPECT_TRUE(Read("{}").ok());
}

TEST(ConfigFileTest, SaysWhereTextIsWrong) {
  EXPECT_THAT(ReadProblem("model: \"x\"\nmax_runing: 3\n"),
              AllOf(StartsWith(":2:"), HasSubstr("max_runing")));
  EXPECT_THAT(ReadProblem("max_running: \"three\""), StartsWith(":1:14: "));
  EXPECT_THAT(ReadProblem("max_running: 3\nmax_running: 4"),
              AllOf(StartsWith(":2:"), HasSubstr("max_running")));
  EXPECT_THAT(ReadProblem("max_running: 3000000000"), HasSubstr("3000000000"));
  EXPECT_THAT(ReadProblem("prefix_cache: maybe"), StartsWith(":1:"));
  EXPECT_THAT(ReadProblem("\x7f"
                          "ELF"),
              StartsWith(":1:"));
}

TEST(ConfigFileTest, SaysWhatIsWrongWithJson) {
  EXPECT_THAT(ReadProblem("{\"max_runing\": 3}"),
              AllOf(StartsWith(": as JSON: "), HasSubstr("max_runing")));
  EXPECT_THAT(ReadProblem("{\"max_running\": \"three\"}"), HasSubstr("max_running"));
  EXPECT_THAT(ReadProblem("{\"max_running\": 3, \"max_running\": 4}"), HasSubstr("max_running"));
  EXPECT_THAT(ReadProblem("{\"max_running\": 3"), HasSubstr("as JSON"));
  EXPECT_THAT(ReadProblem("{\"max_running\": 3} x"), HasSubstr("as JSON"));
}

TEST(ConfigFileTest, UnreadableFilesAreNamed) {
  const auto missing = server::ReadConfigFile("/nonexistent/chorus.conf");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("/nonexistent/chorus.conf"));
  const auto directory = server::ReadConfigFile(testing::TempDir());
  EXPECT_FALSE(directory.ok());
  EXPECT_THAT(std::string(directory.status().message()), HasSubstr("directory"));
  const TemporaryFile huge(std::string((1 << 20) + 1, '#'));
  const auto too_long = server::ReadConfigFile(huge.path());
  EXPECT_EQ(too_long.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(too_long.status().message()), HasSubstr("at most 1048576 bytes"));
}

TEST(ConfigFileTest, ValuesThatAreNoneAreNamedWithTheFile) {
  v1::Config file;
  file.set_pool_bytes("plenty");
  file.set_dtype("fp8");
  file.set_pin_budget(std::numeric_limits<double>::quiet_NaN());
  file.set_chat_template(std::string("a\0-", 3));
  file.set_max_running(5);
  server::ServerConfig config;
  std::vector<std::string> problems;
  server::ApplyConfig(file, "chorus.conf", &config, &problems);
  EXPECT_THAT(problems,
              ::testing::UnorderedElementsAre(
                  StartsWith("chorus.conf: pool_bytes: expected a size from "),
                  "chorus.conf: dtype: expected one of auto, bf16, f16, f32, got \"fp8\"",
                  StartsWith("chorus.conf: pin_budget: expected a number "),
                  "chorus.conf: chat_template: expected text without zero bytes, got \"a\\x00-\""));
  EXPECT_EQ(config.engine.max_running, 5);
}

// Decimal text must not lose a bit of a double on its way through.
TEST(ConfigFileTest, NumbersPassUnchanged) {
  for (double share : {0.1, 1.0 / 3.0, std::nextafter(1.0, 0.0), 5e-324, 0.0}) {
    v1::Config file;
    file.set_pin_budget(share);
    server::ServerConfig config;
    std::vector<std::string> problems;
    server::ApplyConfig(file, "f", &config, &problems);
    EXPECT_TRUE(problems.empty());
    EXPECT_EQ(config.engine.pin_budget, share);
    EXPECT_EQ(server::ToConfigProto(config).pin_budget(), share);
  }
}

}  // namespace
}  // namespace chorus::test
