// Requests with adapters that come, go, are cancelled while they load and give up their pages to
// each other, in a pool that holds few of them and an arena on the host that does not hold all:
// every answer is what it is alone.
#include "tests/support/adapter_stress.h"

#include <map>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/server_fixture.h"

namespace chorus::test {
namespace {

class AdapterStressTest : public ServerTest, public testing::WithParamInterface<StressDevice> {
 protected:
  AdapterStressTest() : ServerTest(3, GetParam().head_dim) {}

  engine::GenerateRequest Make(int i) const {
    const auto seed = static_cast<uint32_t>(i);
    return Request(absl::StrCat("r", i), 100 + seed, 4 + i * 7 % 40, 8,
                   i % 5 == 0 ? nullptr : adapters_[static_cast<size_t>(i) % adapters_.size()]);
  }

  // Each alone, with room for all.
  const std::vector<ServerAnswer>& Alone(ServerDevice device) const {
    static std::map<std::pair<int, int>, std::vector<ServerAnswer>> known;
    std::vector<ServerAnswer>& answers = known[{GetParam().head_dim, GetParam().requests}];
    if (!answers.empty()) return answers;
    SteppedServer server(dir(), std::move(device), {.pages = 512});
    for (int i = 0; i < GetParam().requests; ++i) {
      server.Submit(Make(i));
      server.RunToEnd();
      answers.push_back(server.answer(absl::StrCat("r", i)));
    }
    return answers;
  }

  SteppedServerOptions Options() const {
    SteppedServerOptions options;
    options.engine.max_running = 8;
    options.engine.max_step_tokens = 64;
    options.engine.max_prefill_chunk = 16;
    options.engine.max_loads = 3;
    options.engine.loader_threads = 3;
    const engine::ImageLayout& largest = adapters_[4]->layout();
    options.pages = GetParam().whole_memory ? 0 : 2 * largest.num_ids + 16;
    options.last_pages = GetParam().whole_memory || GetParam().last_pages;
    const int64_t bytes = largest.num_tiles * kernels::TileBytes(geometry().dtype);
    options.adapters = {.pinned_bytes = bytes * 3 / 2, .chunk_bytes = 2048};
    return options;
  }

  // Submits all of them at random moments, cancels some, forgets some adapters. Which were
  // cancelled before they had ended.
  std::vector<bool> Play(SteppedServer& server, uint32_t seed) const {
    std::mt19937 random(seed);
    std::vector<bool> cancelled(static_cast<size_t>(GetParam().requests));
    for (int i = 0; i < GetParam().requests; ++i) {
      server.Submit(Make(i));
      for (uint32_t turns = random() % 4; turns > 0; --turns) server.Turn();
      if (random() % 4 == 0) {
        const auto other = random() % static_cast<uint32_t>(i + 1);
        const std::string id = absl::StrCat("r", other);
        if (!server.answer(id).ended) cancelled[other] = true;
        server.scheduler().Cancel(id, -1, engine::FinishReason::kCancelled);
      }
      if (random() % 8 == 0) {
        server.scheduler().Forget(
            engine::Residency::KeyOf(*adapters_[random() % adapters_.size()]));
      }
    }
    server.RunToEnd();
    return cancelled;
  }

  const std::vector<engine::AdapterRef> adapters_ = {Adapter(1, 8),  Adapter(2, 16), Adapter(3, 24),
                                                     Adapter(4, 40), Adapter(5, 64), Adapter(6, 8)};
};

TEST_P(AdapterStressTest, EveryAnswerIsWhatItIsAlone) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  auto alone_device = GetParam().open_alone();
  if (alone_device.status().code() == absl::StatusCode::kNotFound) {
    GTEST_SKIP() << alone_device.status().message();
  }
  ASSERT_TRUE(alone_device.ok()) << alone_device.status();
  const std::vector<ServerAnswer>& alone = Alone(*std::move(alone_device));
  auto device = GetParam().open(seed);
  ASSERT_TRUE(device.ok()) << device.status();
  SteppedServer server(dir(), *std::move(device), Options());
  const std::vector<bool> cancelled = Play(server, seed);
  EXPECT_EQ(server.stats().adapter_evictions > 0, !GetParam().whole_memory);
  int compared = 0;
  for (int i = 0; i < GetParam().requests; ++i) {
    const ServerAnswer& got = server.answer(absl::StrCat("r", i));
    const ServerAnswer& expected = alone[static_cast<size_t>(i)];
    EXPECT_TRUE(got.ended && got.status.ok()) << got.status;
    const bool whole = got.tokens.size() == expected.tokens.size();
    EXPECT_TRUE(whole || cancelled[static_cast<size_t>(i)]) << "request " << i;
    for (size_t t = 0; t < got.tokens.size(); ++t, ++compared) {
      if (got.tokens[t] == expected.tokens[t]) continue;
      // Only what is nearly equal may change places.
      EXPECT_LT(expected.margins[t], GetParam().margin) << "request " << i << ", token " << t;
      break;
    }
  }
  EXPECT_GE(compared, 4 * GetParam().requests);
}

INSTANTIATE_TEST_SUITE_P(Device, AdapterStressTest, testing::ValuesIn(StressDevices()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace chorus::test
