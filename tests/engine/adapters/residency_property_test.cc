// Random calls on a residency beside a model of what must hold: pages, slots, counts, pins.
#include <map>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/residency_harness.h"

namespace chorus::engine {
namespace {

using test::ResidencyHarness;
using Resident = Residency::Resident;

constexpr int64_t kPages = 30;
constexpr int64_t kPinPages = 10;
constexpr int kAdapters = 8;

// What the calls so far mean for one adapter.
struct Model {
  AdapterRef adapter;
  Resident* resident = nullptr;  // while somebody waits or runs
  bool forgotten = false;
  int waiting = 0;
  int running = 0;
  bool pinned = false;
  ReclaimRank rank = kNobodyWaits;  // of its first waiter
};

class Walk {
 public:
  explicit Walk(uint64_t seed) : random_(seed), harness_(kPages, kPinPages) {
    harness_.loads.begun = [this, salt = random_()](uint64_t ticket) {
      return (ticket ^ salt) % 3 != 0 || arrived_.contains(ticket);
    };
    for (int i = 0; i < kAdapters; ++i) {
      models_[i].adapter =
          harness_.Adapter(i % 2 == 0 ? "t" : "u", static_cast<uint8_t>(i / 2), 1 + i % 5);
    }
  }

  void Run(int steps) {
    for (step_ = 1; step_ <= steps && !testing::Test::HasFailure(); ++step_) {
      Step(models_[Pick(kAdapters)]);
      RankWaiters();
      TakeSlots();
      Check();
    }
    End();
  }

 private:
  size_t Pick(size_t count) { return random_() % count; }
  static bool Used(const Model& model) {
    return model.waiting > 0 || model.running > 0 || model.pinned;
  }

  void Step(Model& model) {
    Residency& residency = harness_.residency;
    switch (Pick(10)) {
      case 0:
      case 1:
        model.resident = residency.AddWaiter(model.adapter);
        model.forgotten = false;
        ++model.waiting;
        break;
      case 2:
        if (model.waiting == 0) break;
        --model.waiting;
        residency.RemoveWaiter(model.resident);
        break;
      case 3:  // admission: hold, load when it is on disk, and leave the queue
        if (model.waiting > 0) Admit(model);
        break;
      case 4:
        if (model.running == 0) break;
        --model.running;
        residency.Unhold(model.resident);
        break;
      case 5:
        Pin(model);
        break;
      case 6:
        if (Pick(4) == 0) Forget(model);
        break;
      case 7:
        if (harness_.residency.CheapestWorth(kAnyone).has_value()) {
          residency.ReclaimCheapest(kAnyone);
        }
        break;
      case 8:
        ArriveOne();
        break;
      default:
        AnswerOne();
    }
  }

  void Admit(Model& model) {
    Resident* const resident = model.resident;
    if (resident->state == ResidencyState::kCancelling) return;
    if (resident->state == ResidencyState::kDisk) {
      if (harness_.pool.num_free() < resident->pages()) return;
      harness_.residency.Hold(resident);
      harness_.StartLoad(resident);
    } else {
      harness_.residency.Hold(resident);
    }
    ++model.running;
    --model.waiting;
    harness_.residency.RemoveWaiter(resident);
  }

  void Pin(Model& model) {
    const bool pin = !model.pinned;
    int64_t pinned = pin ? model.adapter->layout().num_ids : 0;
    for (const Model& other : models_) {
      if (other.pinned) pinned += other.adapter->layout().num_ids;
    }
    const absl::Status status = harness_.residency.Pin(model.adapter, pin);
    EXPECT_EQ(status.ok(), !pin || pinned <= kPinPages) << status;
    if (status.ok()) model.pinned = pin;
    model.forgotten = false;  // it was named again
    // Once more changes nothing.
    EXPECT_TRUE(harness_.residency.Pin(model.adapter, model.pinned).ok());
  }

  void Forget(Model& model) {
    harness_.residency.Forget(Residency::KeyOf(*model.adapter));
    model.pinned = false;
    model.forgotten = true;
  }

  void ArriveOne() {
    const auto& jobs = harness_.loads.jobs;
    if (jobs.empty()) return;
    const uint64_t ticket = std::next(jobs.begin(), static_cast<long>(Pick(jobs.size())))->first;
    // A load says so once; one that was cancelled may say it too late.
    if (arrived_.insert(ticket).second) harness_.Arrive(ticket);
  }

  void AnswerOne() {
    auto& jobs = harness_.loads.jobs;
    if (jobs.empty()) return;
    const auto job = std::next(jobs.begin(), static_cast<long>(Pick(jobs.size())));
    const bool cancelled = harness_.loads.cancelled.contains(job->first);
    const absl::Status answers[] = {absl::OkStatus(), absl::OkStatus(), absl::CancelledError(""),
                                    absl::DataLossError("damaged")};
    const absl::Status answer = answers[Pick(4)];
    if (absl::IsCancelled(answer) && !cancelled) return;  // only who is cancelled says so
    if (absl::IsCancelled(answer) && arrived_.contains(job->first)) return;  // it is too late
    const AdapterKey key = Residency::KeyOf(*job->second.adapter);
    const auto result = harness_.Answer(job->first, answer);
    EXPECT_EQ(result.status.ok(), answer.ok() || cancelled);
    if (result.status.ok()) return;
    // As the scheduler does: whoever ran or waited for it is told, and goes.
    for (Model& model : models_) {
      if (Residency::KeyOf(*model.adapter) != key) continue;
      for (; model.running > 0; --model.running) {
        harness_.residency.Unhold(result.resident);
      }
      for (; model.waiting > 0; --model.waiting) harness_.residency.RemoveWaiter(result.resident);
    }
  }

  // As admission does each step: the queue's head is numbered, and several may wait for the same.
  void RankWaiters() {
    harness_.residency.ClearWaiterRanks();
    for (Model& model : models_) model.rank = kNobodyWaits;
    for (ReclaimRank rank = 0; rank < 5; ++rank) {
      Model& model = models_[Pick(kAdapters)];
      if (model.waiting == 0) continue;
      harness_.residency.SetWaiterRank(model.resident, rank);
      model.rank = std::min(model.rank, rank);
    }
  }

  void TakeSlots() {
    for (const SlotChange& change : harness_.residency.TakeSlotChanges()) {
      if (change.contents == nullptr) {
        EXPECT_EQ(slots_.erase(change.slot), 1u);
        continue;
      }
      EXPECT_TRUE(slots_.emplace(change.slot, change.contents->cells).second);
    }
  }

  void Check() {
    int64_t pages = 0;
    int64_t pinned_pages = 0;
    std::map<ReclaimRank, int64_t> idle_pages;  // by the rank up to which somebody waits for them
    size_t with_slots = 0;
    std::set<int32_t> cells;
    for (const AdapterResidency& one : harness_.residency.Snapshot()) {
      const Model* model = nullptr;
      for (const Model& candidate : models_) {
        if (candidate.adapter->tenant() == one.tenant &&
            candidate.adapter->digest() == one.digest) {
          model = &candidate;
        }
      }
      ASSERT_NE(model, nullptr);
      EXPECT_EQ(one.running, model->running);
      EXPECT_EQ(one.waiting, model->waiting);
      EXPECT_EQ(one.pinned, model->pinned);
      EXPECT_EQ(one.pages,
                one.state == ResidencyState::kDisk ? 0 : model->adapter->layout().num_ids);
      // For nobody: nothing loads on, nothing stays that was deleted, nothing on disk is listed.
      EXPECT_TRUE(Used(*model) || one.state == ResidencyState::kCancelling ||
                  one.state == ResidencyState::kArriving ||
                  (one.state == ResidencyState::kResident && !model->forgotten));
      const bool ready =
          one.state == ResidencyState::kResident || one.state == ResidencyState::kArriving;
      EXPECT_TRUE(one.running == 0 || ready || one.state == ResidencyState::kLoading);
      pages += one.pages;
      pinned_pages += one.pinned ? one.pages : 0;
      if (one.state == ResidencyState::kResident && one.running == 0 && !one.pinned) {
        idle_pages[model->rank] += one.pages;
      }
      with_slots += ready;
    }
    for (ReclaimRank rank = kAnyone; rank < 5; ++rank) {
      int64_t reclaimable = 0;
      for (auto idle = idle_pages.upper_bound(rank); idle != idle_pages.end(); ++idle) {
        reclaimable += idle->second;
      }
      EXPECT_EQ(harness_.residency.ReclaimablePages(rank), reclaimable);
      EXPECT_EQ(harness_.residency.CheapestWorth(rank).has_value(), reclaimable > 0);
    }
    EXPECT_EQ(harness_.residency.num_pinned_pages(), pinned_pages);
    EXPECT_EQ(pages, harness_.residency.num_pages());
    EXPECT_EQ(pages, kPages - harness_.pool.num_free());
    EXPECT_EQ(with_slots, slots_.size());
    for (const auto& [slot, list] : slots_) {
      for (const int32_t cell : list) EXPECT_TRUE(cells.insert(cell).second) << "shared by two";
    }
  }

  void End() {
    for (Model& model : models_) {
      for (; model.running > 0; --model.running) {
        harness_.residency.Unhold(model.resident);
      }
      for (; model.waiting > 0; --model.waiting) harness_.residency.RemoveWaiter(model.resident);
      harness_.residency.Forget(Residency::KeyOf(*model.adapter));
    }
    while (!harness_.loads.jobs.empty()) {
      harness_.Answer(harness_.loads.jobs.begin()->first, absl::OkStatus());
    }
    TakeSlots();
    EXPECT_TRUE(harness_.residency.Snapshot().empty());
    EXPECT_EQ(harness_.pool.num_free(), kPages);
    EXPECT_TRUE(slots_.empty());
    for (const Model& model : models_) EXPECT_EQ(model.adapter.use_count(), 1);
  }

  std::mt19937_64 random_;
  ResidencyHarness harness_;
  Model models_[kAdapters];
  std::set<uint64_t> arrived_;                     // tickets
  std::map<int32_t, std::vector<int32_t>> slots_;  // as a runner would have them
  int step_ = 0;
};

TEST(ResidencyPropertyTest, RandomCallsKeepPagesSlotsAndCountsRight) {
  const uint64_t first = std::random_device()();
  for (uint64_t seed = first; seed < first + 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Walk(seed).Run(400);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace chorus::engine
