#include "server/config/address.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::test {
namespace {

using server::Address;
using server::ParseAddress;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(AddressTest, ParsesEachKind) {
  const Address four = *ParseAddress("--listen", "127.0.0.1:50051");
  EXPECT_EQ(four.kind, Address::Kind::kIpv4);
  EXPECT_EQ(four.host, "127.0.0.1");
  EXPECT_EQ(four.port, 50051);
  EXPECT_EQ(four.ToString(), "127.0.0.1:50051");

  const Address six = *ParseAddress("--listen", "[::1]:0");
  EXPECT_EQ(six.kind, Address::Kind::kIpv6);
  EXPECT_EQ(six.host, "::1");
  EXPECT_EQ(six.port, 0);
  EXPECT_EQ(six.ToString(), "[::1]:0");

  const Address path = *ParseAddress("--listen", "unix:/run/chorus.sock");
  EXPECT_EQ(path.kind, Address::Kind::kUnix);
  EXPECT_EQ(path.path, "/run/chorus.sock");
  EXPECT_EQ(path.ToString(), "unix:/run/chorus.sock");

  EXPECT_EQ(ParseAddress("--listen", "localhost:9")->ToString(), "127.0.0.1:9");
}

TEST(AddressTest, KnowsWhoCanConnect) {
  for (const char* text :
       {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:a", "[0:0:0:0:0:0:0:1]:1"}) {
    EXPECT_TRUE(ParseAddress("--listen", text)->IsLoopback()) << text;
  }
  for (const char* text : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "128.0.0.1:1", "[fe80::1]:1",
                           "[::ffff:10.0.0.1]:1", "[::ffff:127.0.0.1]:1"}) {
    EXPECT_FALSE(ParseAddress("--listen", text)->IsLoopback()) << text;
  }
}

TEST(AddressTest, RefusesWhatIsNoAddress) {
  for (const std::string& text :
       {std::string(""), std::string("127.0.0.1"), std::string(":50051"), std::string("50051"),
        std::string("127.0.0.1:"), std::string("127.0.0.1:-1"), std::string("127.0.0.1:65536"),
        std::string("127.0.0.1:5x"), std::string("::1:50051"), std::string("[::1]"),
        std::string("[127.0.0.1]:5"), std::string("example.org:80"), std::string("127.1:80"),
        std::string(" 127.0.0.1:80"), std::string("unix:"),
        std::string("unix:") + std::string(108, 'p')}) {
    const auto address = ParseAddress("--listen", text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(address.status().message()), StartsWith("--listen: expected "));
    EXPECT_THAT(std::string(address.status().message()), HasSubstr(", got \""));
  }
}

}  // namespace
}  // namespace chorus::test
