// Power cuts and kills at every moment of six workloads, on a disk that loses whatever was not
// synced (method after ALICE, Pillai et al., OSDI 2014); and two stores that forget a kind of
// fsync, which must fail the same checks, or the checks would prove nothing.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/crash_workload.h"

namespace chorus::engine {
namespace {

using test::AnswersOf;
using test::CatalogHarness;
using test::CheckRecovery;
using test::Contents;
using test::CrashWorkloads;
using test::Expectation;
using test::FaultDisk;
using test::Workload;
using ::testing::IsEmpty;

#ifdef CHORUS_SANITIZED
constexpr int64_t kStride = 5;  // every fifth moment: sanitizers are slow
#else
constexpr int64_t kStride = 1;
#endif

struct Tally {
  int64_t states = 0;
  int64_t violations = 0;
  std::string first;
};

// A run without a crash: when each step began and was acknowledged, in the disk's time.
struct Run {
  std::shared_ptr<FaultDisk> disk;
  std::vector<AdapterInfo> answers;
  std::vector<int64_t> begin;
  std::vector<int64_t> acked;

  // What the client knew just before event `at`.
  Expectation Before(const Workload& workload, int64_t at) const {
    Expectation expectation;
    for (size_t i = 0; i < workload.steps.size() && begin[i] < at; ++i) {
      if (acked[i] <= at) {
        ApplyStep(workload.steps[i], answers[i], &expectation.acked);
      } else {
        expectation.in_flight = workload.steps[i];
        expectation.answer = answers[i];
      }
    }
    return expectation;
  }
};

Run RunWithoutCrash(const Workload& workload, FaultDisk::Options options) {
  Run run;
  run.disk = std::make_shared<FaultDisk>(options);
  CatalogHarness harness(run.disk);
  EXPECT_TRUE(harness.Open().ok());
  const absl::Status ran = RunWorkload(
      workload, harness, [&](size_t) { run.begin.push_back(run.disk->now()); },
      [&](size_t, const AdapterInfo& info) {
        run.acked.push_back(run.disk->now());
        run.answers.push_back(info);
      });
  EXPECT_TRUE(ran.ok()) << ran;
  return run;
}

// The store goes on: every name can be written again, under a version that it never had.
void CheckGoesOn(const std::shared_ptr<FaultDisk>& disk, const Run& run, int64_t at) {
  std::map<test::NameKey, int64_t> highest;
  for (size_t i = 0; i < run.answers.size() && run.acked[i] <= at; ++i) {
    int64_t& version = highest[{run.answers[i].tenant, run.answers[i].name}];
    version = std::max(version, run.answers[i].version);
  }
  CatalogHarness harness(disk);
  ASSERT_TRUE(harness.Open().ok());
  for (const auto& [key, version] : highest) {
    const auto info = harness.Put(key.first, key.second, 77);
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_GT(info->version, version) << "before event " << at;
  }
}

void Check(const std::shared_ptr<FaultDisk>& disk, const Expectation& expectation,
           const std::string& where, Tally* tally) {
  ++tally->states;
  const std::vector<std::string> problems = CheckRecovery(disk, expectation);
  if (problems.empty()) return;
  ++tally->violations;
  if (tally->first.empty()) tally->first = where + ": " + problems[0];
}

Tally CutPowerEverywhere(FaultDisk::Options options) {
  Tally tally;
  for (const Workload& workload : CrashWorkloads()) {
    const Run run = RunWithoutCrash(workload, options);
    for (int64_t at = 0; at <= run.disk->now(); at += kStride) {
      const Expectation expectation = run.Before(workload, at);
      run.disk->ForEachCrashState(at, [&](std::shared_ptr<FaultDisk> disk,
                                          const std::string& what) {
        Check(disk, expectation,
              workload.name + ", before event " + std::to_string(at) + ", without " + what, &tally);
        if (what == "all that was not synced" && options.honest()) CheckGoesOn(disk, run, at);
      });
    }
  }
  return tally;
}

TEST(CrashTest, APowerCutAtAnyMomentLosesNothingThatWasAcknowledged) {
  const Tally tally = CutPowerEverywhere({});
  std::printf("%ld crash states\n", static_cast<long>(tally.states));
  EXPECT_EQ(tally.violations, 0) << tally.first;
  EXPECT_GT(tally.states, 5000 / kStride);
}

TEST(CrashTest, AStoreThatForgetsToSyncFilesIsCaught) {
  const Tally tally = CutPowerEverywhere({.ignore_file_sync = true});
  std::printf("%ld of %ld crash states are wrong\n", static_cast<long>(tally.violations),
              static_cast<long>(tally.states));
  EXPECT_GT(tally.violations, 100 / kStride);
}

TEST(CrashTest, AStoreThatForgetsToSyncDirectoriesIsCaught) {
  const Tally tally = CutPowerEverywhere({.ignore_directory_sync = true});
  std::printf("%ld of %ld crash states are wrong\n", static_cast<long>(tally.violations),
              static_cast<long>(tally.states));
  EXPECT_GT(tally.violations, 100 / kStride);
}

// Kills the process at its `call`-th call. What the client knew then; nullopt when it came through.
std::optional<Expectation> KillAt(const Workload& workload, const std::vector<AdapterInfo>& answers,
                                  int64_t call, const std::shared_ptr<FaultDisk>& disk) {
  disk->KillAtCall(call);
  Expectation expectation;
  CatalogHarness harness(disk);
  if (!harness.Open().ok()) return expectation;  // killed while it began
  const absl::Status ran = RunWorkload(
      workload, harness,
      [&](size_t i) {
        expectation.in_flight = workload.steps[i];
        expectation.answer = answers[i];
      },
      [&](size_t i, const AdapterInfo& info) {
        ApplyStep(workload.steps[i], info, &expectation.acked);
        expectation.in_flight.reset();
      });
  if (disk->killed()) return expectation;
  EXPECT_TRUE(ran.ok()) << ran;
  return std::nullopt;
}

// The process is killed; the next one recovers, and the power goes while it does or just after.
// What the first had renamed but not synced is still only in memory then.
TEST(CrashTest, APowerCutDuringRecoveryFromAKillLosesNothing) {
  Tally tally;
  for (const Workload& workload : CrashWorkloads()) {
    const std::vector<AdapterInfo> answers = AnswersOf(workload);
    for (int64_t call = 0;; call += kStride) {
      const auto disk = std::make_shared<FaultDisk>();
      const std::optional<Expectation> expectation = KillAt(workload, answers, call, disk);
      if (!expectation.has_value()) break;
      const int64_t begin = disk->now();
      const std::string where = workload.name + ", killed at call " + std::to_string(call);
      std::vector<std::string> problems;
      CatalogHarness next(disk);
      ASSERT_TRUE(next.Open().ok()) << where;
      const int64_t recovered = disk->now();
      const Contents shown = ContentsOf(next, &problems);
      EXPECT_THAT(problems, IsEmpty()) << where;
      next.Stop();
      for (int64_t at = begin; at <= recovered; at += at + kStride < recovered ? kStride : 1) {
        // Whom the new process has answered sees no change any more.
        const Expectation now = at < recovered ? *expectation : Expectation{shown, {}, {}};
        disk->ForEachCrashState(at, [&](std::shared_ptr<FaultDisk> cut, const std::string& what) {
          Check(cut, now, where + ", cut before event " + std::to_string(at) + ", without " + what,
                &tally);
        });
      }
    }
  }
  std::printf("%ld crash states\n", static_cast<long>(tally.states));
  EXPECT_EQ(tally.violations, 0) << tally.first;
  EXPECT_GT(tally.states, 5000 / kStride);
}

TEST(CrashTest, AKillDuringRecoveryFromAKillLosesNothing) {
  Tally tally;
  for (const Workload& workload : CrashWorkloads()) {
    const std::vector<AdapterInfo> answers = AnswersOf(workload);
    for (int64_t call = 0;; call += kStride) {
      const auto disk = std::make_shared<FaultDisk>();
      const std::optional<Expectation> expectation = KillAt(workload, answers, call, disk);
      if (!expectation.has_value()) break;
      for (int64_t again = 0;; ++again) {
        const std::shared_ptr<FaultDisk> copy = disk->Copy();
        copy->KillAtCall(again);
        if (CatalogHarness(copy).Open().ok() && !copy->killed()) break;
        Check(copy, *expectation,
              workload.name + ", killed at call " + std::to_string(call) + " and " +
                  std::to_string(again),
              &tally);
      }
    }
  }
  std::printf("%ld pairs of kills\n", static_cast<long>(tally.states));
  EXPECT_EQ(tally.violations, 0) << tally.first;
  EXPECT_GT(tally.states, 5000 / kStride);
}

}  // namespace
}  // namespace chorus::engine
