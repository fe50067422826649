#include "server/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/metrics/metrics_fixture.h"

namespace chorus::test {
namespace {

using server::MetricsServer;
using ::testing::HasSubstr;
using ::testing::StartsWith;

int ConnectTo(int port) {
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, "127.0.0.1", &place.sin_addr);
  if (connect(client, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0) return client;
  close(client);
  return -1;
}

// The whole answer to one request; empty when nobody listens.
std::string Ask(int port, const std::string& request_line) {
  const int client = ConnectTo(port);
  if (client < 0) return "";
  const std::string request =
      absl::StrCat(request_line, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(send(client, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = recv(client, buffer, sizeof buffer, 0)) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  close(client);
  return answer;
}

std::string Loopback(int port) { return absl::StrCat("127.0.0.1:", port); }

TEST(MetricsServerTest, AScrapeOverTheSocketIsWellFormed) {
  MetricsFixture fixture;
  fixture.stats.requests_running = 7;
  const auto server = MetricsServer::Start(Loopback(0), fixture.metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_GT((*server)->port(), 0);
  for (int scrape = 0; scrape < 2; ++scrape) {
    const std::string answer = Ask((*server)->port(), "GET /metrics");
    ASSERT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain"));
    const auto families = ParseExposition(answer.substr(answer.find("\r\n\r\n") + 4));
    ASSERT_TRUE(families.ok()) << families.status();
    const auto& running = families->at("vllm:num_requests_running").samples;
    EXPECT_EQ(running.at({"vllm:num_requests_running", {{"model_name", "tiny"}, {"engine", "0"}}}),
              7);
  }
}

TEST(MetricsServerTest, NothingElseIsServed) {
  MetricsFixture fixture;
  const auto server = MetricsServer::Start(Loopback(0), fixture.metrics);
  ASSERT_TRUE(server.ok());
  for (const char* request : {"GET /", "GET /etc/passwd", "GET /../../etc/passwd", "POST /metrics",
                              "PUT /metrics", "DELETE /metrics"}) {
    const std::string answer = Ask((*server)->port(), request);
    EXPECT_THAT(answer, ::testing::Not(HasSubstr(" 200 "))) << request;
    EXPECT_THAT(answer, ::testing::Not(HasSubstr("root:"))) << request;
  }
}

TEST(MetricsServerTest, APortThatIsTakenIsAStatusWithTheReason) {
  MetricsFixture fixture;
  const auto first = MetricsServer::Start(Loopback(0), fixture.metrics);
  ASSERT_TRUE(first.ok());
  const std::string address = Loopback((*first)->port());
  const auto second = MetricsServer::Start(address, fixture.metrics);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(std::string(second.status().message()),
            absl::StrCat("metrics: cannot listen on ", address, ": Address already in use"));
}

TEST(MetricsServerTest, OnlyAddressesOfThisMachineAreTaken) {
  MetricsFixture fixture;
  const auto foreign = MetricsServer::Start("192.0.2.1:0", fixture.metrics);
  EXPECT_EQ(foreign.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(foreign.status().message()),
              HasSubstr("Cannot assign requested address"));
  // A bare port would be one on all interfaces.
  for (const char* address : {"nonsense", "9464", "+9464", "[::1]:0", "unix:/tmp/x", ""}) {
    EXPECT_EQ(MetricsServer::Start(address, fixture.metrics).status().code(),
              absl::StatusCode::kInvalidArgument)
        << address;
  }
  EXPECT_TRUE(MetricsServer::Start("localhost:0", fixture.metrics).ok());
}

TEST(MetricsServerTest, StoppingFreesThePortAtOnce) {
  MetricsFixture fixture;
  auto first = MetricsServer::Start(Loopback(0), fixture.metrics);
  ASSERT_TRUE(first.ok());
  const int port = (*first)->port();
  EXPECT_THAT(Ask(port, "GET /metrics"), HasSubstr("200 OK"));
  first->reset();
  EXPECT_EQ(Ask(port, "GET /metrics"), "");
  const auto second = MetricsServer::Start(Loopback(port), fixture.metrics);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_THAT(Ask(port, "GET /metrics"), HasSubstr("200 OK"));
}

// A scraper that sends nothing takes one of two threads, for a while; the others are answered.
TEST(MetricsServerTest, ASilentClientHoldsUpNobody) {
  MetricsFixture fixture;
  const auto server = MetricsServer::Start(Loopback(0), fixture.metrics);
  ASSERT_TRUE(server.ok());
  const int silent = ConnectTo((*server)->port());
  ASSERT_GE(silent, 0);
  EXPECT_THAT(Ask((*server)->port(), "GET /metrics"), HasSubstr("200 OK"));
  close(silent);
}

TEST(MetricsServerTest, ManyScrapersReadWhileOthersRecord) {
  MetricsFixture fixture;
  const auto server = MetricsServer::Start(Loopback(0), fixture.metrics);
  ASSERT_TRUE(server.ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) {
        const std::string answer = Ask((*server)->port(), "GET /metrics");
        EXPECT_TRUE(ParseExposition(answer.substr(answer.find("\r\n\r\n") + 4)).ok());
      }
    });
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        fixture.metrics->CallEnded(server::Method::kGet, absl::StatusCode::kOk);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fixture.Value("chorus_calls_total", {{"method", "Get"}, {"code", "OK"}}), 2000);
}

}  // namespace
}  // namespace chorus::test
