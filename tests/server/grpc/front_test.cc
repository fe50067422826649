// The gRPC front from end to end in one process, for the sanitizers above all: everything at the
// same time, clients that leave at any moment, and what each answer has to be.
#include <random>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/server/grpc/served.h"

namespace chorus::test {
namespace {

TEST(FrontTest, AnswersGreedilyTheSameAloneAndTogether) {
  Served served;
  std::vector<std::string> models = {"base"};
  for (int i = 0; i < 3; ++i) {
    models.push_back("adapter-" + std::to_string(i));
    const grpc::Status stored =
        served.Upload(models.back(), served.MakeAdapter(static_cast<uint64_t>(i) + 1, 1 << i));
    ASSERT_TRUE(stored.ok()) << stored.error_message();
  }
  std::vector<Served::Answer> alone;
  for (const std::string& model : models) {
    alone.push_back(served.Generate(TextRequest(model, "the quick brown fox", 24)));
    ASSERT_TRUE(alone.back().status.ok()) << alone.back().status.error_message();
    EXPECT_EQ(alone.back().ids.size(), 24u);
    EXPECT_EQ(alone.back().reason, v1::LENGTH);
    EXPECT_EQ(alone.back().started.model(), model);
    EXPECT_EQ(alone.back().summary.usage().completion_tokens(), 24);
    for (size_t i = 0; i + 1 < alone.size(); ++i) EXPECT_NE(alone[i].ids, alone.back().ids);
  }
  std::vector<std::thread> threads;
  std::vector<Served::Answer> together(12);
  for (size_t i = 0; i < together.size(); ++i) {
    threads.emplace_back([&, i] {
      together[i] =
          served.Generate(TextRequest(models[i % models.size()], "the quick brown fox", 24));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(together[i].ids, alone[i % models.size()].ids) << models[i % models.size()];
    EXPECT_EQ(together[i].text, alone[i % models.size()].text);
  }
}

TEST(FrontTest, ClientsThatLeaveAtAnyMomentLeaveNothingBehind) {
  Served served;
  ASSERT_TRUE(served.Upload("a", served.MakeAdapter(1)).ok());
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&served, seed, t] {
      std::mt19937 random(seed + t);
      for (int round = 0; round < 12; ++round) {
        grpc::ClientContext context;
        v1::GenerateRequest request = TextRequest(random() % 2 == 0 ? "a" : "base", "once", 200);
        request.set_n(1 + static_cast<int>(random() % 3));
        const auto reader = served.inference().Generate(&context, request);
        v1::GenerateResponse message;
        for (uint32_t reads = random() % 6; reads > 0 && reader->Read(&message); --reads) {
        }
        context.TryCancel();
        reader->Finish();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(served.Idle());
  EXPECT_TRUE(served.Generate(TextRequest("a", "once", 4)).status.ok());
}

TEST(FrontTest, CancelEndsAnAnswerWithStatusOk) {
  Served served;
  v1::GenerateRequest request = TextRequest("base", "once", 30'000);
  request.set_request_id("mine");
  grpc::ClientContext context;
  const auto reader = served.inference().Generate(&context, request);
  v1::GenerateResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.started().request_id(), "mine");

  const Served::Answer twin = served.Generate(request);
  EXPECT_EQ(DetailOf(twin.status).reason(), v1::ErrorDetail::REQUEST_ID_IN_USE);

  v1::CancelRequest cancel;
  cancel.set_request_id("mine");
  v1::CancelResponse cancelled;
  grpc::ClientContext cancel_context;
  ASSERT_TRUE(served.inference().Cancel(&cancel_context, cancel, &cancelled).ok());
  v1::FinishReason reason = v1::FINISH_REASON_UNSPECIFIED;
  int tokens = 0;
  while (reader->Read(&message)) {
    for (const v1::ChoiceDelta& delta : message.choices()) {
      tokens += delta.token_ids_size();
      if (delta.finish_reason() != 0) reason = delta.finish_reason();
    }
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(reason, v1::CANCELLED);
  EXPECT_EQ(message.summary().usage().completion_tokens(), tokens);
}

TEST(FrontTest, WatchShowsTheSnapshotAndThenEveryChange) {
  Served served;
  ASSERT_TRUE(served.Upload("first", served.MakeAdapter(1)).ok());
  grpc::ClientContext context;
  const auto reader = served.adapters().Watch(&context, {});
  v1::AdapterEvent event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.kind(), v1::AdapterEvent::PUT);
  EXPECT_EQ(event.adapter().name(), "first");
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.kind(), v1::AdapterEvent::SNAPSHOT_END);
  const uint64_t revision = event.revision();

  std::thread other([&] {
    EXPECT_TRUE(served.Upload("second", served.MakeAdapter(2)).ok());
    v1::DeleteAdapterRequest remove;
    remove.set_name("first");
    v1::Adapter removed;
    grpc::ClientContext remove_context;
    EXPECT_TRUE(served.adapters().Delete(&remove_context, remove, &removed).ok());
  });
  const std::pair<v1::AdapterEvent::Kind, std::string> kExpected[] = {
      {v1::AdapterEvent::PUT, "second"},
      {v1::AdapterEvent::DELETING, "first"},
      {v1::AdapterEvent::DELETED, "first"}};
  uint64_t last = revision;
  for (const auto& [kind, name] : kExpected) {
    ASSERT_TRUE(reader->Read(&event));
    EXPECT_EQ(event.kind(), kind);
    EXPECT_EQ(event.adapter().name(), name);
    EXPECT_GT(event.revision(), last);
    last = event.revision();
  }
  other.join();
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(FrontTest, UploadsAndGenerationsAndDeletesAtTheSameTime) {
  Served served;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&served, t] {
      const std::string name = "adapter-" + std::to_string(t);
      for (int round = 0; round < 4; ++round) {
        const grpc::Status stored = served.Upload(
            name, served.MakeAdapter(static_cast<uint64_t>(10 * t + round), 1 + round));
        ASSERT_TRUE(stored.ok()) << stored.error_message();
        const Served::Answer answer = served.Generate(TextRequest(name, "the end", 8));
        ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
        EXPECT_EQ(answer.started.adapter_version(), round + 1);
      }
      v1::DeleteAdapterRequest remove;
      remove.set_name(name);
      v1::Adapter removed;
      grpc::ClientContext context;
      EXPECT_TRUE(served.adapters().Delete(&context, remove, &removed).ok());
      EXPECT_EQ(DetailOf(served.Generate(TextRequest(name, "x", 1)).status).reason(),
                v1::ErrorDetail::ADAPTER_NOT_FOUND);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

grpc::Status Pin(Served& served, const std::string& name, bool pinned) {
  v1::PinAdapterRequest request;
  request.set_name(name);
  request.set_pinned(pinned);
  v1::Adapter adapter;
  grpc::ClientContext context;
  return served.adapters().Pin(&context, request, &adapter);
}

// A pin budget for one small adapter and for no large one.
double BudgetOfASmallOne() {
  Served served;
  v1::UploadResponse small, large;
  EXPECT_TRUE(served.Upload("small", served.MakeAdapter(1, 1), &small).ok());
  EXPECT_TRUE(served.Upload("large", served.MakeAdapter(2, 32), &large).ok());
  v1::ServerInfo info;
  grpc::ClientContext context;
  EXPECT_TRUE(served.admin().GetServerInfo(&context, {}, &info).ok());
  EXPECT_LT(2 * small.adapter().pages(), large.adapter().pages());
  return 1.5 * static_cast<double>(small.adapter().pages()) /
         static_cast<double>(info.pool_pages());
}

TEST(FrontTest, UploadsAnswerForThemselvesWhoeverPinsAndReplacesTheName) {
  server::ServerConfig config;
  config.engine.pin_budget = BudgetOfASmallOne();
  Served served(config);
  constexpr int kContents = 4;
  const auto content = [&](int i) {
    return served.MakeAdapter(static_cast<uint64_t>(i) + 1, i % 2 == 0 ? 1 : 32);
  };
  std::vector<std::string> digests;
  for (int i = 0; i < kContents; ++i) {
    v1::UploadResponse stored;
    ASSERT_TRUE(served.Upload("own-" + std::to_string(i), content(i), &stored).ok());
    digests.push_back(stored.adapter().digest());
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < kContents; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 12; ++round) {
        v1::UploadResponse stored;
        const grpc::Status status = served.Upload("name", content(t), &stored);
        ASSERT_TRUE(status.ok()) << status.error_message();
        EXPECT_EQ(stored.adapter().digest(), digests[static_cast<size_t>(t)]);
        Pin(served, "name", true);  // refused where the large one is there
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // Nothing is kept for a name that is not pinned.
  ASSERT_TRUE(Pin(served, "name", false).ok());
  EXPECT_TRUE(Pin(served, "own-0", true).ok());
  EXPECT_EQ(DetailOf(Pin(served, "own-2", true)).reason(), v1::ErrorDetail::PIN_BUDGET);
  EXPECT_TRUE(Pin(served, "own-0", false).ok());
  EXPECT_TRUE(Pin(served, "own-2", true).ok());
  // A pin goes over to the next version, but not to one without room.
  v1::UploadResponse stored;
  ASSERT_TRUE(served.Upload("own-2", content(0), &stored).ok());
  EXPECT_TRUE(stored.adapter().pinned());
  ASSERT_TRUE(served.Upload("own-2", content(1), &stored).ok());
  EXPECT_FALSE(stored.adapter().pinned());
  EXPECT_EQ(stored.adapter().warnings_size(), 1);
  EXPECT_TRUE(Pin(served, "own-0", true).ok());
}

TEST(FrontTest, DrainFinishesWhatRunsAndRefusesWhatComes) {
  Served served;
  grpc::ClientContext context;
  const auto reader = served.inference().Generate(&context, TextRequest("base", "once", 400));
  v1::GenerateResponse message;
  ASSERT_TRUE(reader->Read(&message));
  v1::DrainResponse drained;
  grpc::ClientContext drain_context;
  ASSERT_TRUE(served.admin().Drain(&drain_context, {}, &drained).ok());
  grpc::Status refused;
  for (int i = 0; i < 1000 && refused.ok(); ++i) {
    refused = served.Generate(TextRequest("base", "x", 1)).status;
  }
  EXPECT_EQ(DetailOf(refused).reason(), v1::ErrorDetail::DRAINING);
  int tokens = 0;
  while (reader->Read(&message)) {
    for (const v1::ChoiceDelta& delta : message.choices()) tokens += delta.token_ids_size();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(tokens, 400);
  EXPECT_TRUE(served.Idle());
  EXPECT_TRUE(served.daemon().Drained());
}

TEST(FrontTest, AClientThatNeverReadsIsCutAndOthersGoOn) {
  server::ServerConfig config;
  config.stall_limit_ms = 200;
  Served served(config);
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024);  // a small window
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  const auto channel =
      grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(served.daemon().grpc_port()),
                                grpc::InsecureChannelCredentials(), arguments);
  const auto stub = v1::Inference::NewStub(channel);
  grpc::ClientContext context;
  v1::GenerateRequest request = TextRequest("base", "once", 490);
  request.set_n(16);
  request.set_logprobs(20);  // about half a kilobyte a token
  const auto reader = stub->Generate(&context, request);
  // Many times the limit, so that a busy machine has cut it by then.
  for (const absl::Time begin = absl::Now(); absl::Now() < begin + absl::Seconds(3);) {
    const Served::Answer other = served.Generate(TextRequest("base", "once", 100));
    EXPECT_TRUE(other.status.ok()) << other.status.error_message();
  }
  EXPECT_TRUE(served.Idle());  // the one that does not read has ended, though nobody read it
  v1::GenerateResponse message;
  while (reader->Read(&message)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
}

}  // namespace
}  // namespace chorus::test
