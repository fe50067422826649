// Every call that the store makes to the file system fails once, in three ways. Nothing is
// acknowledged that is not there, nothing is left lying about, a retry goes through; only a failed
// fsync latches the store, and then a restart clears it (the rules: directory_store.h).
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/crash_workload.h"

namespace chorus::engine {
namespace {

using test::CatalogHarness;
using test::CheckRecovery;
using test::Contents;
using test::ContentsOf;
using test::CrashWorkloads;
using test::Expectation;
using test::Fault;
using test::FaultDisk;
using test::Workload;
using ::testing::IsEmpty;

#ifdef CHORUS_SANITIZED
constexpr int64_t kStride = 5;  // every fifth call: sanitizers are slow
#else
constexpr int64_t kStride = 1;
#endif

// One run of a workload in which one call fails.
class FaultyRun {
 public:
  FaultyRun(const Workload& workload, const std::vector<AdapterInfo>& answers)
      : workload_(workload),
        answers_(answers),
        disk_(std::make_shared<FaultDisk>()),
        harness_(disk_) {}

  // False when no call was left to fail.
  bool Run(int64_t call, Fault fault) {
    EXPECT_TRUE(harness_.Open().ok());
    disk_->FailCall(call, fault);
    while (next_ < workload_.steps.size()) {
      if (const absl::Status status = RunOn(); !status.ok()) OnError(status);
      if (testing::Test::HasFatalFailure() || latched_) return true;
    }
    const std::string failed = disk_->failed_call();
    disk_->FailCall(-1, fault);
    harness_.Settle();  // what a failed unlink left
    ExpectContents(failed);
    return !failed.empty();
  }

  bool latched() const { return latched_; }

 private:
  // The steps that are left, until one fails.
  absl::Status RunOn() {
    const Workload rest{
        workload_.name,
        {workload_.steps.begin() + static_cast<long>(next_), workload_.steps.end()}};
    return RunWorkload(
        rest, harness_, [](size_t) {},
        [&](size_t, const AdapterInfo& info) {
          ApplyStep(workload_.steps[next_], info, &acked_);
          EXPECT_EQ(info.version, answers_[next_].version);
          EXPECT_EQ(info.digest, answers_[next_].digest);
          ++next_;
        });
  }

  void OnError(const absl::Status& status) {
    ASSERT_FALSE(fired_) << "a second error: " << status;
    fired_ = true;
    const std::string call = disk_->failed_call();
    ASSERT_FALSE(call.empty()) << status;
    EXPECT_TRUE(absl::IsUnavailable(status) || absl::IsResourceExhausted(status) ||
                absl::IsDataLoss(status))
        << call << ": " << status;
    latched_ = !harness_.catalog().Writable().ok();
    EXPECT_TRUE(latched_ || call != "fsync of a directory");
    if (latched_) {
      EXPECT_TRUE(call == "fsync of a directory" || call == "fsync") << call;
      ExpectLatchIsCleared();
      return;
    }
    harness_.Settle();
    ExpectContents(call);
  }

  void ExpectContents(const std::string& failed_call) {
    EXPECT_EQ(disk_->open_files(), 0) << "after a failed " << failed_call;
    std::vector<std::string> problems;
    EXPECT_EQ(ContentsOf(harness_, &problems), acked_);
    // A staged file that could not be removed goes at the next start.
    if (failed_call == "unlink") {
      std::erase_if(problems, [](const auto& line) { return line.starts_with("staging/"); });
    }
    EXPECT_THAT(problems, IsEmpty()) << "after a failed " << failed_call;
  }

  void ExpectLatchIsCleared() {
    EXPECT_EQ(disk_->open_files(), 0);
    std::vector<std::string> problems;
    EXPECT_EQ(ContentsOf(harness_, &problems), acked_);  // it reads on
    EXPECT_FALSE(harness_.Put("acme", "more", 9).ok());
    const Expectation expectation{acked_, workload_.steps[next_], answers_[next_]};
    harness_.Stop();
    disk_->ForEachCrashState(
        disk_->now(), [&](std::shared_ptr<FaultDisk> cut, const std::string& what) {
          EXPECT_THAT(CheckRecovery(cut, expectation), IsEmpty()) << "power cut without " << what;
        });
    EXPECT_THAT(CheckRecovery(disk_, expectation), IsEmpty());
    ASSERT_TRUE(harness_.Open().ok());
    EXPECT_TRUE(harness_.catalog().Writable().ok());
    // What the new process shows stays, although the old one could not sync it. Only a deletion
    // that was not acknowledged may be undone: nobody can write anew what is not there.
    const Contents shown = ContentsOf(harness_, &problems);
    harness_.Stop();
    if (workload_.steps[next_].kind == test::Step::Kind::kDelete) return;
    EXPECT_THAT(CheckRecovery(disk_->CutPower(), {shown, {}, {}}), IsEmpty())
        << "power cut after the restart";
  }

  const Workload& workload_;
  const std::vector<AdapterInfo>& answers_;
  const std::shared_ptr<FaultDisk> disk_;  // shared with the harness
  CatalogHarness harness_;
  Contents acked_;
  size_t next_ = 0;
  bool fired_ = false;
  bool latched_ = false;
};

void FailEveryCall(Fault fault, int64_t* runs, int64_t* latches) {
  for (const Workload& workload : CrashWorkloads()) {
    const std::vector<AdapterInfo> answers = AnswersOf(workload);
    for (int64_t call = 0;; call += kStride) {
      SCOPED_TRACE(testing::Message() << workload.name << ", call " << call);
      FaultyRun run(workload, answers);
      const bool fired = run.Run(call, fault);
      if (testing::Test::HasFailure()) return;
      if (!fired) break;
      ++*runs;
      *latches += run.latched();
    }
  }
}

TEST(IoFaultTest, AnIoErrorOfAnyCallLosesNothing) {
  int64_t runs = 0;
  int64_t latches = 0;
  FailEveryCall(Fault::kIoError, &runs, &latches);
  std::printf("%ld runs, %ld latched\n", static_cast<long>(runs), static_cast<long>(latches));
  EXPECT_GT(runs, 300 / kStride);
  EXPECT_GT(latches, 30 / kStride);
}

TEST(IoFaultTest, AFullDiskAtAnyCallLosesNothing) {
  int64_t runs = 0;
  int64_t latches = 0;
  FailEveryCall(Fault::kNoSpace, &runs, &latches);
  std::printf("%ld runs, %ld latched\n", static_cast<long>(runs), static_cast<long>(latches));
  EXPECT_GT(runs, 300 / kStride);
  EXPECT_GT(latches, 0);  // a directory that cannot be synced for want of room is unknown too
}

// The start itself: a store that could not begin, or come back, does so the next time, and what it
// acknowledges then outlives a power cut.
TEST(IoFaultTest, AnIoErrorOfAnyCallOfAStartLosesNothing) {
  for (const size_t num_steps : {size_t{0}, size_t{3}}) {  // a new store, and one with adapters
    Workload before{"before", CrashWorkloads()[5].steps};
    before.steps.resize(num_steps);
    const Workload after = CrashWorkloads()[1];
    for (int64_t call = 0;; ++call) {
      const auto disk = std::make_shared<FaultDisk>();
      CatalogHarness harness(disk);
      const auto run = [&](const Workload& workload) {
        return RunWorkload(
            workload, harness, [](size_t) {}, [&](size_t, const AdapterInfo&) {});
      };
      if (num_steps > 0) {
        ASSERT_TRUE(harness.Open().ok());
        ASSERT_TRUE(run(before).ok());
        harness.Stop();
      }
      disk->FailCall(call, Fault::kIoError);
      const absl::Status opened = harness.Open();
      if (opened.ok() && !disk->fault_fired()) break;
      disk->FailCall(-1, Fault::kIoError);
      ASSERT_TRUE(harness.Restart().ok()) << "call " << call << " failed: " << opened;
      ASSERT_TRUE(run(after).ok());
      std::vector<std::string> problems;
      const Contents acked = ContentsOf(harness, &problems);
      EXPECT_THAT(problems, IsEmpty());
      harness.Stop();
      EXPECT_THAT(CheckRecovery(disk->CutPower(), {acked, {}, {}}), IsEmpty())
          << "call " << call << " failed: " << opened;
    }
  }
}

TEST(IoFaultTest, AShortWriteAtAnyCallLosesNothing) {
  int64_t runs = 0;
  int64_t latches = 0;
  FailEveryCall(Fault::kShortWrite, &runs, &latches);
  EXPECT_GT(runs, 300 / kStride);
}

}  // namespace
}  // namespace chorus::engine
