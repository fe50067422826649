// Loads: on threads of the loader's own, straight into the lease's cells, answered exactly once.
#include "engine/adapters/adapter_loader.h"

#include <future>
#include <map>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/memory_adapter.h"
#include "tests/support/small_adapter.h"
#include "tests/support/test_pool.h"

namespace chorus::engine {
namespace {

using test::MemoryAdapter;
using test::TestPool;
using ::testing::SizeIs;

// Forwards to an adapter once the test lets it.
class GatedAdapter : public AdapterVersion {
 public:
  GatedAdapter(AdapterRef adapter, std::shared_future<absl::Status> gate)
      : AdapterVersion(adapter->tenant(), adapter->name(), 1, adapter->digest(), adapter->layout()),
        adapter_(std::move(adapter)),
        gate_(std::move(gate)) {}

  absl::StatusOr<std::unique_ptr<ImageReader>> OpenImage() const override {
    opened.set_value(std::this_thread::get_id());
    if (absl::Status status = gate_.get(); !status.ok()) return status;
    return adapter_->OpenImage();
  }

  mutable std::promise<std::thread::id> opened;

 private:
  const AdapterRef adapter_;
  const std::shared_future<absl::Status> gate_;
};

class AdapterLoaderTest : public ::testing::Test {
 protected:
  AdapterLoaderTest() : pool_(kernels::DType::kF32, 1, 16, 64, 2), target_(pool_.view()) {
    LoadAnswers answers{.done = [this](LoadDone done) {
      kernels::MutexLock lock(&mutex_);
      const uint64_t ticket = done.ticket;
      EXPECT_TRUE(answers_.emplace(ticket, std::move(done.status)).second) << "answered twice";
      threads_.insert(std::this_thread::get_id());
      order_.push_back(ticket);
      changed_.NotifyAll();
    }};
    loader_ = std::make_unique<AdapterLoader>(&target_, 2, Clock::Real(), std::move(answers));
  }

  AdapterRef Adapter(uint64_t seed) const {
    const test::SmallAdapter files = test::SmallAdapter::Make(seed, 8);
    return *MemoryAdapter::Make("t", "a", files.config, files.tensors, test::SmallModel(),
                                pool_.view());
  }
  std::vector<int32_t> Cells(const AdapterVersion& adapter, int32_t first) const {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < adapter.layout().num_ids; ++i) {
      ids.push_back(first + static_cast<int32_t>(i));
    }
    const int64_t cells =
        kernels::CeilDiv(adapter.layout().num_tiles, kernels::TilesPerCell(pool_.view()));
    return CellsInFillOrder(ids, cells, pool_.view());
  }
  absl::Status AnswerTo(uint64_t ticket) {
    kernels::MutexLock lock(&mutex_);
    while (!answers_.contains(ticket)) changed_.Wait(&mutex_);
    return answers_.at(ticket);
  }
  // What the cells must hold: read by this thread into a pool of its own.
  void ExpectLoaded(const AdapterVersion& adapter, const std::vector<int32_t>& cells) {
    TestPool other(kernels::DType::kF32, 1, 16, 64, 2);
    const auto image = *adapter.OpenImage();
    for (int layer = 0; layer < image->num_layers(); ++layer) {
      ASSERT_TRUE(image->ReadLayer(layer, cells, other.view()).ok());
    }
    const auto size =
        static_cast<size_t>(pool_.view().CellAddress(1) - pool_.view().CellAddress(0));
    for (size_t i = 0; i + 1 < cells.size(); ++i) {  // the last one is not filled to its end
      EXPECT_EQ(
          std::memcmp(pool_.view().CellAddress(cells[i]), other.view().CellAddress(cells[i]), size),
          0);
    }
  }

  TestPool pool_;
  HostAdapterPages target_;
  kernels::Mutex mutex_;
  kernels::CondVar changed_;
  std::map<uint64_t, absl::Status> answers_ CHORUS_GUARDED_BY(mutex_);
  std::set<std::thread::id> threads_ CHORUS_GUARDED_BY(mutex_);
  std::vector<uint64_t> order_ CHORUS_GUARDED_BY(mutex_);  // of answers
  std::unique_ptr<AdapterLoader> loader_;
};

TEST_F(AdapterLoaderTest, ReadsManyAdaptersAtATimeEachIntoItsOwnCells) {
  std::vector<AdapterRef> adapters;
  for (uint64_t i = 0; i < 12; ++i) {
    adapters.push_back(Adapter(i));
    ASSERT_LE(adapters.back()->layout().num_ids, 5);
    loader_->Start({i, adapters[i], Cells(*adapters[i], static_cast<int32_t>(5 * i))});
  }
  for (uint64_t i = 0; i < 12; ++i) {
    EXPECT_TRUE(AnswerTo(i).ok());
    ExpectLoaded(*adapters[i], Cells(*adapters[i], static_cast<int32_t>(5 * i)));
  }
}

TEST_F(AdapterLoaderTest, NeverReadsOnTheCallersThread) {
  std::promise<absl::Status> gate;
  const auto slow = std::make_shared<GatedAdapter>(Adapter(1), gate.get_future().share());
  auto opened = slow->opened.get_future();
  loader_->Start({7, slow, Cells(*slow, 0)});  // comes back although the file does not
  EXPECT_NE(opened.get(), std::this_thread::get_id());
  loader_->Start({8, Adapter(2), Cells(*slow, 10)});
  EXPECT_TRUE(AnswerTo(8).ok());  // and a slow one holds up nobody
  gate.set_value(absl::OkStatus());
  EXPECT_TRUE(AnswerTo(7).ok());
  kernels::MutexLock lock(&mutex_);
  EXPECT_FALSE(threads_.contains(std::this_thread::get_id()));
}

TEST_F(AdapterLoaderTest, ACancelledLoadAnswersToo) {
  std::promise<absl::Status> gate;
  const std::shared_future<absl::Status> open = gate.get_future().share();
  const auto first = std::make_shared<GatedAdapter>(Adapter(1), open);
  const auto second = std::make_shared<GatedAdapter>(Adapter(2), open);
  auto first_opened = first->opened.get_future();
  auto second_opened = second->opened.get_future();
  loader_->Start({1, first, Cells(*first, 0)});
  loader_->Start({2, second, Cells(*second, 10)});
  first_opened.wait();
  second_opened.wait();
  loader_->Start({3, Adapter(3), Cells(*first, 20)});  // both threads are busy: it waits
  loader_->Cancel(3);
  loader_->Cancel(1);  // while it reads
  loader_->Cancel(99);
  gate.set_value(absl::OkStatus());
  EXPECT_TRUE(absl::IsCancelled(AnswerTo(1)));
  EXPECT_TRUE(AnswerTo(2).ok());
  EXPECT_TRUE(absl::IsCancelled(AnswerTo(3)));
  loader_->Cancel(2);  // was faster
}

TEST_F(AdapterLoaderTest, TheSmallestRankOfThoseNotBegunIsNextAndSomeAreTakenBack) {
  std::promise<absl::Status> gates[2];
  std::vector<std::shared_ptr<GatedAdapter>> busy;
  for (uint64_t i = 0; i < 2; ++i) {
    busy.push_back(std::make_shared<GatedAdapter>(Adapter(i), gates[i].get_future().share()));
    auto opened = busy.back()->opened.get_future();
    loader_->Start({i, busy.back(), Cells(*busy.back(), static_cast<int32_t>(5 * i)), /*rank=*/9});
    opened.wait();  // both threads have begun
  }
  for (uint64_t i = 2; i < 8; ++i) {
    loader_->Start({i, Adapter(i), Cells(*busy[0], 20), static_cast<int64_t>(i)});
  }
  loader_->SetRank(7, 1);
  loader_->SetRank(2, 8);
  loader_->SetRank(0, 0);  // begun: all the same to it
  loader_->SetRank(99, 0);
  EXPECT_TRUE(loader_->Withdraw(4));
  EXPECT_FALSE(loader_->Withdraw(4));
  EXPECT_FALSE(loader_->Withdraw(0));
  gates[0].set_value(absl::OkStatus());  // one thread for all the others
  EXPECT_TRUE(AnswerTo(2).ok());
  gates[1].set_value(absl::OkStatus());
  EXPECT_TRUE(AnswerTo(1).ok());
  kernels::MutexLock lock(&mutex_);
  EXPECT_THAT(order_, ::testing::ElementsAre(0, 7, 3, 5, 6, 2, 1));
}

TEST_F(AdapterLoaderTest, AnErrorIsTheLoadsAnswer) {
  std::promise<absl::Status> gate;
  gate.set_value(absl::DataLossError("damaged"));
  const auto damaged = std::make_shared<GatedAdapter>(Adapter(1), gate.get_future().share());
  loader_->Start({1, damaged, Cells(*damaged, 0)});
  EXPECT_EQ(AnswerTo(1).code(), absl::StatusCode::kDataLoss);
  loader_->Start({2, Adapter(1), Cells(*damaged, 0)});
  EXPECT_TRUE(AnswerTo(2).ok());
}

TEST_F(AdapterLoaderTest, ItsEndAnswersEverything) {
  std::promise<absl::Status> gate;
  const std::shared_future<absl::Status> open = gate.get_future().share();
  std::vector<std::future<std::thread::id>> opened;
  for (uint64_t i = 0; i < 2; ++i) {
    const auto slow = std::make_shared<GatedAdapter>(Adapter(i), open);
    opened.push_back(slow->opened.get_future());
    loader_->Start({i, slow, Cells(*slow, static_cast<int32_t>(5 * i))});
  }
  for (auto& one : opened) one.wait();
  for (uint64_t i = 2; i < 10; ++i) {
    loader_->Start({i, Adapter(i), Cells(*Adapter(i), static_cast<int32_t>(5 * i))});
  }
  std::thread end([this] { loader_.reset(); });
  gate.set_value(absl::OkStatus());
  end.join();
  kernels::MutexLock lock(&mutex_);
  EXPECT_THAT(answers_, SizeIs(10));
}

}  // namespace
}  // namespace chorus::engine
