// The engine thread touches no file and waits for none: counted by the kernel over hundreds of
// steps with loads, evictions, pins and deletions over a store on the disk, and with a store that
// hangs.
#include <fcntl.h>

#include <atomic>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/adapters/adapter_target.h"
#include "engine/engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/catalog_harness.h"
#include "tests/support/fake_runner.h"
#include "tests/support/file_watch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_pool.h"

namespace chorus::engine {
namespace {

using test::FileWatch;

constexpr int64_t kPages = 40;

// A FakeRunner whose thread is watched from its first step on.
class WatchedRunner : public Runner {
 public:
  explicit WatchedRunner(const kernels::PoolView& view) : runner_(view) {}

  absl::StatusOr<StepResult> Run(const StepPlan& plan) override {
    if (!asked_) watched = FileWatch::WatchThisThread();
    asked_ = true;
    if (touch_file.exchange(false)) (void)open("/dev/null", O_RDONLY);
    return runner_.Run(plan);
  }

  static inline std::atomic<bool> watched{false};
  static inline std::atomic<bool> touch_file{false};

 private:
  FakeRunner runner_;
  bool asked_ = false;
};

GenerateRequest MakeRequest(const std::string& id, AdapterRef adapter, int max_tokens) {
  GenerateRequest request;
  request.request_id = id;
  request.tenant = "t";
  request.adapter = std::move(adapter);
  for (int i = 0; i < 20; ++i) request.prompt.push_back(static_cast<int32_t>(id.size()) + i);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

// An engine over a pool with memory, and a catalog.
class EngineThreadTest : public ::testing::Test {
 protected:
  EngineThreadTest() : pool_(kernels::DType::kF32, 1, 16, kPages, 2) {
    EngineOptions options;
    options.max_running = 8;
    options.loader_threads = 2;
    Engine::Model model;
    model.runner = std::make_unique<WatchedRunner>(pool_.view());
    model.adapters = std::make_unique<HostAdapterPages>(pool_.view());
    model.pool = pool_.view();
    model.base_digest = "base";
    model.max_positions = 128;
    model.vocabulary = FakeRunner::kVocabulary;
    engine_ = *Engine::Start(options, std::move(model), bell_, Clock::Real());
  }

  void OpenCatalog(CatalogOptions options) {
    options.model = test::SmallModel();
    options.geometry = test::SmallGeometry();
    options.allow_volatile = true;
    catalog_ = *StoredCatalog::Open(std::move(options), Clock::Real());
    catalog_->OnForget([this](const std::string& tenant, const AdapterDigest& digest) {
      engine_->Forget(tenant, digest);
    });
  }
  void Put(const std::string& name, uint64_t seed) {
    const test::SmallAdapter adapter = test::SmallAdapter::Make(seed, 8 + 8 * (seed % 4));
    const auto put =
        test::Send(*catalog_, test::RequestFor("t", name, adapter), adapter, size_t{1} << 20);
    ASSERT_TRUE(put.ok()) << put.status();
  }

  // Until the request has ended; returns how.
  StreamEvent AwaitEnd(const std::shared_ptr<TokenStream>& stream) {
    while (true) {
      for (StreamEvent& event : stream->Drain()) {
        if (event.kind == StreamEvent::Kind::kFinished) return event;
      }
      absl::SleepFor(absl::Microseconds(100));
    }
  }
  FinishReason Run(const std::string& id, AdapterRef adapter, int max_tokens) {
    const auto stream = engine_->Submit(MakeRequest(id, std::move(adapter), max_tokens));
    EXPECT_TRUE(stream.ok()) << stream.status();
    return AwaitEnd(*stream).reason;
  }

  test::TestPool pool_;
  const std::shared_ptr<StreamBell> bell_ = std::make_shared<StreamBell>();
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<StoredCatalog> catalog_;
};

TEST_F(EngineThreadTest, MakesNoCallThatTouchesAFile) {
#ifdef CHORUS_SANITIZED
  GTEST_SKIP() << "sanitizers make calls of their own";
#endif
  const test::TempDir directory;
  OpenCatalog({.directory = directory.path() + "/store"});
  for (uint64_t i = 0; i < 40; ++i) Put(absl::StrCat("a", i), i);
  ASSERT_EQ(Run("first", nullptr, 2), FinishReason::kLength);
  if (!WatchedRunner::watched) GTEST_SKIP() << "this kernel lets no thread be watched (seccomp)";

  std::mt19937 random(1);
  std::vector<std::pair<std::string, std::shared_ptr<TokenStream>>> live;
  int64_t names = 40;
  for (int i = 0; i < 400; ++i) {
    const std::string name = absl::StrCat("a", random() % static_cast<uint32_t>(names));
    const absl::StatusOr<AdapterRef> adapter = catalog_->Resolve("t", name);
    if (i % 25 == 7) {  // and uploaded again, as another
      ASSERT_TRUE(catalog_->Delete("t", name, {}).ok());
      Put(name, 1000 + static_cast<uint64_t>(i));
    }
    if (i % 20 == 3) (void)engine_->Pin(*adapter, true);
    if (i % 20 == 13) {
      ASSERT_TRUE(engine_->Pin(*adapter, false).ok());
    }
    const std::string id = absl::StrCat("r", i);
    const auto stream = engine_->Submit(MakeRequest(id, *adapter, 1 + static_cast<int>(i % 12)));
    ASSERT_TRUE(stream.ok()) << stream.status();
    live.emplace_back(id, *stream);
    if (i % 9 == 0) engine_->Cancel(id, -1, FinishReason::kCancelled);
    if (live.size() < 12) continue;
    for (auto& [live_id, live_stream] : live) AwaitEnd(live_stream);
    live.clear();
  }
  for (auto& [id, stream] : live) AwaitEnd(stream);
  absl::SleepFor(absl::Milliseconds(100));  // statistics are a moment old
  const EngineStats stats = engine_->stats();
  EXPECT_GT(stats.steps, 300u);
  EXPECT_GT(stats.adapter_loads, 100u);
  EXPECT_GT(stats.adapter_evictions, 50u);
  EXPECT_EQ(FileWatch::calls(), 0) << "the last one was system call " << FileWatch::last_call();

  WatchedRunner::touch_file = true;  // the watch sees what there is to see
  ASSERT_EQ(Run("last", nullptr, 2), FinishReason::kLength);
  EXPECT_EQ(FileWatch::calls(), 1);
}

// Whose files cannot be opened for reading until the test lets them.
class HangingFiles : public test::FaultFs {
 public:
  struct Gate {
    kernels::Mutex mutex;
    kernels::CondVar changed;
    bool hangs CHORUS_GUARDED_BY(mutex) = false;
    int waiting CHORUS_GUARDED_BY(mutex) = 0;
  };
  HangingFiles(std::shared_ptr<test::FaultDisk> disk, std::shared_ptr<Gate> gate)
      : FaultFs(std::move(disk)), gate_(std::move(gate)) {}

  absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path) override {
    {
      kernels::MutexLock lock(&gate_->mutex);
      ++gate_->waiting;
      gate_->changed.NotifyAll();
      while (gate_->hangs) gate_->changed.Wait(&gate_->mutex);
      --gate_->waiting;
    }
    return FaultFs::Open(path);
  }

 private:
  const std::shared_ptr<Gate> gate_;  // shared with the test
};

TEST_F(EngineThreadTest, OthersGoOnWhileAStoreHangs) {
  const auto disk = std::make_shared<test::FaultDisk>();
  const auto gate = std::make_shared<HangingFiles::Gate>();
  CatalogOptions options;
  options.background = false;
  options.files = std::make_unique<HangingFiles>(disk, gate);
  OpenCatalog(std::move(options));
  for (uint64_t i = 0; i < 4; ++i) Put(absl::StrCat("a", i), i);
  const AdapterRef warm = *catalog_->Resolve("t", "a0");
  ASSERT_EQ(Run("warm", warm, 2), FinishReason::kLength);
  {
    kernels::MutexLock lock(&gate->mutex);
    gate->hangs = true;
  }
  std::vector<std::shared_ptr<TokenStream>> cold;
  for (int i = 1; i < 4; ++i) {
    const auto adapter = catalog_->Resolve("t", absl::StrCat("a", i));
    cold.push_back(*engine_->Submit(MakeRequest(absl::StrCat("cold", i), *adapter, 2)));
  }
  {
    kernels::MutexLock lock(&gate->mutex);
    while (gate->waiting < 2) gate->changed.Wait(&gate->mutex);  // both loader threads hang
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Run(absl::StrCat("base", i), nullptr, 30), FinishReason::kLength);
    EXPECT_EQ(Run(absl::StrCat("warm", i), warm, 30), FinishReason::kLength);
  }
  for (int i = 1; i < 4; ++i) {  // those who wait for it can be cancelled, begun or not
    engine_->Cancel(absl::StrCat("cold", i), -1, FinishReason::kCancelled);
    EXPECT_EQ(AwaitEnd(cold[static_cast<size_t>(i - 1)]).reason, FinishReason::kCancelled);
  }
  {
    kernels::MutexLock lock(&gate->mutex);
    gate->hangs = false;
  }
  gate->changed.NotifyAll();
  EXPECT_EQ(Run("after", *catalog_->Resolve("t", "a1"), 2), FinishReason::kLength);
  engine_.reset();
}

}  // namespace
}  // namespace chorus::engine
