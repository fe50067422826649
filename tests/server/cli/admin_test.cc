// chorus status, tokenize, cancel, drain and adapters watch.
#include <nlohmann/json.hpp>
#include <thread>

#include "gmock/gmock.h"
#include "tests/server/cli/fake_server.h"
#include "tests/server/cli/test_console.h"

namespace chorus::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AdminTest : public ::testing::Test {
 protected:
  AdminTest() {
    v1::ServerInfo& info = server_.admin.info;
    info.set_version("0.1.0");
    info.set_served_model_name("smollm2");
    info.set_architecture("LlamaForCausalLM");
    info.set_dtype("bf16");
    info.set_device("cpu");
    info.set_context_tokens(8192);
    info.set_vocabulary(49152);
    info.set_chat_available(true);
    info.set_pool_bytes(1'000'000'000);
    info.set_weight_bytes(269'000'000);
    info.set_page_tokens(16);
    info.set_threads(2);
    info.set_uptime_ms(185'000);
    v1::Load& load = server_.admin.load;
    load.set_ready(true);
    load.set_requests_running(3);
    load.set_requests_waiting(1);
    load.set_sequences_running(5);
    load.set_pages_total(2000);
    load.set_pages_free(1500);
    load.set_pages_sequences(300);
    load.set_pages_prefixes(150);
    load.set_pages_adapters(50);
    load.set_generation_tokens(123456);
  }

  ExitCode Run(Args args) {
    args.push_back("--server");
    args.push_back(server_.address());
    return console_.Run(args);
  }

  FakeServer server_;
  TestConsole console_;
};

TEST_F(AdminTest, StatusIsReadable) {
  EXPECT_EQ(Run({"status"}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(),
            "server    chorusd 0.1.0 at " + server_.address() +
                ", up 3 min 5 s\n"
                "state     ready, health SERVING\n"
                "model     smollm2 (LlamaForCausalLM), 269 MB of weights\n"
                "runs      bf16 on cpu, 2 threads\n"
                "limits    context 8,192 tokens, vocabulary 49,152\n"
                "chat      yes\n"
                "requests  3 running, 1 waiting, 5 sequences\n"
                "pool      1.00 GB, 2,000 pages of 16 tokens\n"
                "  free        1,500 (75 %)\n"
                "  sequences   300 (15 %)\n"
                "  prefixes    150 (8 %)\n"
                "  adapters    50 (3 %)\n"
                "so far    123,456 tokens generated, 0 preemptions, 0 adapter loads\n");
}

TEST_F(AdminTest, StatusShowsWhatIsNotWell) {
  server_.SetServing(false);
  server_.admin.load.set_ready(false);
  server_.admin.load.set_draining(true);
  server_.admin.info.set_chat_available(false);
  server_.admin.info.set_chat_problem("line 3: no such filter");
  server_.admin.info.add_experiments("--experiment-pad-rank=64");
  EXPECT_EQ(Run({"status"}), ExitCode::kOk);
  EXPECT_THAT(console_.out.text(),
              HasSubstr("for bench --experiment-pad-rank=64: answers may be wrong or slow\n"));
  EXPECT_THAT(console_.out.text(), HasSubstr("state     draining, health NOT_SERVING\n"));
  EXPECT_THAT(console_.out.text(), HasSubstr("chat      no: line 3: no such filter\n"));
}

TEST_F(AdminTest, StatusAsJson) {
  server_.admin.info.add_experiments("--experiment-pad-rank=64");
  EXPECT_EQ(Run({"status", "--json"}), ExitCode::kOk);
  const auto json = nlohmann::json::parse(console_.out.text());
  EXPECT_EQ(json["health"], "SERVING");
  EXPECT_EQ(json["ready"], true);
  EXPECT_EQ(json["served_model_name"], "smollm2");
  EXPECT_EQ(json["pages_adapters"], 50);
  EXPECT_THAT(json["experiments"], ::testing::ElementsAre("--experiment-pad-rank=64"));
}

TEST_F(AdminTest, StatusWaitsUntilTheServerServes) {
  server_.SetServing(false);
  EXPECT_EQ(Run({"status", "--wait", "50ms"}), ExitCode::kRefused);
  EXPECT_THAT(console_.err.text(), HasSubstr("is not ready after 50.0 ms"));
  std::thread later([this] { server_.SetServing(true); });
  EXPECT_EQ(Run({"status", "--wait", "60s"}), ExitCode::kOk);
  later.join();
  TestConsole alone;
  EXPECT_EQ(alone.Run({"status", "--server", "127.0.0.1:1", "--wait", "50ms"}),
            ExitCode::kUnreachable);
}

TEST_F(AdminTest, TokenizeShowsIdsAndPieces) {
  for (const auto& [id, bytes] : {std::pair(5, " Hi"), std::pair(600, "\xE2\x82")}) {
    server_.inference.tokens.add_token_ids(id);
    server_.inference.tokens.add_token_bytes(bytes);
  }
  EXPECT_EQ(Run({"tokenize", "text"}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(), "       5  \" Hi\"\n     600  \"\\xe2\\x82\"\n");
  EXPECT_EQ(server_.inference.tokenize_request().text(), "text");
  EXPECT_FALSE(server_.inference.tokenize_request().has_add_special_tokens());
  console_.out.Clear();
  EXPECT_EQ(Run({"tokenize", "--ids", "--chat", "--no-special-tokens", "text"}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(), "5,600\n");
  EXPECT_EQ(server_.inference.tokenize_request().chat().messages(0).content(), "text");
  EXPECT_FALSE(server_.inference.tokenize_request().add_special_tokens());
  console_.out.Clear();
  EXPECT_EQ(Run({"tokenize", "--json", "text"}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(),
            "{\"token_ids\":[5,600],\"token_bytes\":[[32,72,105],[226,130]]}\n");
}

TEST_F(AdminTest, CancelAndDrainReachTheServer) {
  EXPECT_EQ(Run({"cancel", "r-7"}), ExitCode::kOk);
  EXPECT_THAT(server_.inference.cancelled_ids(), ElementsAre("r-7"));
  server_.inference.cancel_status = grpc::Status(grpc::StatusCode::NOT_FOUND, "no such request");
  EXPECT_EQ(Run({"cancel", "r-8"}), ExitCode::kRefused);
  EXPECT_EQ(Run({"drain"}), ExitCode::kOk);
  EXPECT_EQ(server_.admin.drains(), 1);
}

class WatchTest : public AdminTest {
 protected:
  static v1::AdapterEvent Event(uint64_t revision, v1::AdapterEvent::Kind kind,
                                const std::string& name) {
    v1::AdapterEvent event;
    event.set_revision(revision);
    event.set_kind(kind);
    if (name.empty()) return event;
    event.mutable_adapter()->set_name(name);
    event.mutable_adapter()->set_version(1);
    event.mutable_adapter()->set_digest("sha256:0123456789abcdef");
    return event;
  }
  void Script(std::vector<v1::AdapterEvent> events,
              grpc::StatusCode code = grpc::StatusCode::OUT_OF_RANGE) {
    server_.adapters.watches.push_back({std::move(events), grpc::Status(code, "behind")});
  }
};

TEST_F(WatchTest, GoesOnAfterTheLastRevisionThatItSaw) {
  Script({Event(0, v1::AdapterEvent::PUT, "bard"), Event(7, v1::AdapterEvent::SNAPSHOT_END, ""),
          Event(8, v1::AdapterEvent::PINNED, "bard")});
  Script({Event(9, v1::AdapterEvent::DELETED, "bard")}, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Run({"adapters", "watch"}), ExitCode::kUnreachable);
  EXPECT_THAT(server_.adapters.watched_since(), ElementsAre(0, 8));
  EXPECT_EQ(console_.out.text(),
            "               -  put       bard version 1  sha256:0123456789ab\n"
            "               7  that is all so far; changes follow\n"
            "               8  unpinned  bard version 1  sha256:0123456789ab\n"
            "               9  deleted   bard version 1  sha256:0123456789ab\n");
  EXPECT_THAT(console_.err.text(), HasSubstr("going on after revision 8"));
}

TEST_F(WatchTest, ARevisionThatTheServerForgotBeginsAgain) {
  Script({});
  Script({Event(50, v1::AdapterEvent::SNAPSHOT_END, "")}, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Run({"adapters", "watch", "--since", "4"}), ExitCode::kUnreachable);
  EXPECT_THAT(server_.adapters.watched_since(), ElementsAre(4, 0));
  EXPECT_THAT(console_.err.text(), HasSubstr("everything again"));
}

TEST_F(WatchTest, HalfASnapshotIsNoPlaceToGoOnFrom) {
  Script({Event(0, v1::AdapterEvent::PUT, "bard")});
  EXPECT_EQ(Run({"adapters", "watch"}), ExitCode::kRefused);
  EXPECT_THAT(server_.adapters.watched_since(), ElementsAre(0));
}

TEST_F(WatchTest, JsonHasAnEventALine) {
  Script({Event(3, v1::AdapterEvent::PUT, "bard")}, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Run({"adapters", "watch", "--json"}), ExitCode::kUnreachable);
  const auto json = nlohmann::json::parse(console_.out.text());
  EXPECT_EQ(json["revision"], 3);
  EXPECT_EQ(json["kind"], "PUT");
  EXPECT_EQ(json["adapter"]["name"], "bard");
}

}  // namespace
}  // namespace chorus::cli
