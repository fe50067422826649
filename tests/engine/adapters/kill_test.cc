// Kills a process that writes to a store on the real file system, 500 times, at a random moment of
// its work or of its start. The page cache survives a kill, so this finds wrong orders of steps and
// a bad recovery; lost fsyncs are for the power cuts.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/store_writer.h"

namespace chorus::test {
namespace {

using ::testing::IsEmpty;

#ifdef CHORUS_SANITIZED
constexpr int kKills = 60;
#else
constexpr int kKills = 500;
#endif
// A slow or busy machine gets fewer kills, and says so; CHORUS_KILL_SECONDS gives it more time.
std::chrono::seconds Budget() {
  const char* const seconds = std::getenv("CHORUS_KILL_SECONDS");
  return std::chrono::seconds(seconds == nullptr ? 30 : std::atoi(seconds));
}

TEST(KillTest, NothingAcknowledgedIsLostAndNothingIsLeft) {
  std::string root = testing::TempDir() + "chorus_kill_XXXXXX";
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  const std::string store = root + "/store";
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  WriterLog log;
  const auto end = std::chrono::steady_clock::now() + Budget();
  int kills = 0;
  for (; kills < kKills && std::chrono::steady_clock::now() < end; ++kills) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << ", kill " << kills);
    WriterProcess writer(CHORUS_STORE_WRITER, store, random(), kForgetNothing);
    // While it starts, or some steps later: so many lines, not so much time, because a machine that
    // is busy with other things would not come that far.
    if (kills % 4 != 0) {
      ASSERT_TRUE(writer.WaitForLines(1 + static_cast<int>(random() % 12)));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 4000));
    log.Add(writer.Kill());
    std::vector<std::string> problems;
    const auto found = ReadStore(store, &problems);
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_THAT(problems, IsEmpty());
    const std::optional<std::string> problem = log.Compare(*found);
    ASSERT_FALSE(problem.has_value()) << *problem;
  }
  std::printf("%d kills, %ld acknowledgements, seed %lu\n", kills,
              static_cast<long>(log.num_acked()), static_cast<unsigned long>(seed));
  EXPECT_GT(kills, 20);
  EXPECT_GT(log.num_acked(), kills);
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace chorus::test
