// Watches: a snapshot, then every change in order; who comes back goes on where it was, who falls
// behind is told so, and nobody hears of what it may not see.
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/catalog_harness.h"

namespace chorus::engine {
namespace {

using test::CatalogHarness;
using test::ReasonOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What there is to read now: "put acme/a@1", …, "." for the end of a snapshot.
std::vector<std::string> Drain(CatalogWatch& watch, uint64_t* last = nullptr) {
  constexpr const char* kKinds[] = {"put", "deleting", "deleted", "pinned"};
  std::vector<std::string> events;
  while (true) {
    const auto event = watch.Next(absl::ZeroDuration());
    if (!event.ok()) {
      events.push_back(event.status().ToString());
      return events;
    }
    if (!event->has_value()) return events;
    if (last != nullptr) *last = (*event)->revision;
    if ((*event)->kind == CatalogEvent::Kind::kSnapshotEnd) {
      events.push_back(".");
      continue;
    }
    const AdapterInfo& adapter = (*event)->adapter;
    events.push_back(std::string(kKinds[static_cast<int>((*event)->kind)]) + " " + adapter.tenant +
                     "/" + adapter.name + "@" + std::to_string(adapter.version));
  }
}

class CatalogWatchTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(harness_.Open().ok()); }
  StoredCatalog& catalog() { return harness_.catalog(); }
  void Put(const std::string& name, uint64_t seed, const std::string& tenant = "acme") {
    ASSERT_TRUE(harness_.Put(tenant, name, seed).ok());
  }
  CatalogHarness harness_;
};

TEST_F(CatalogWatchTest, SnapshotThenEveryChangeInOrder) {
  Put("b", 1);
  Put("a", 1);
  Put("c", 1, "shared");
  auto watch = *catalog().Watch("acme", 0);
  uint64_t revision = 0;
  EXPECT_THAT(Drain(*watch, &revision),
              ElementsAre("put acme/a@1", "put acme/b@1", "put shared/c@1", "."));
  EXPECT_EQ(revision, catalog().revision());
  Put("a", 2);
  ASSERT_TRUE(catalog().SetPinned("acme", "a", true, {}).ok());
  ASSERT_TRUE(catalog().Delete("acme", "b", {}).ok());
  harness_.Settle();
  ASSERT_TRUE(catalog().Delete("shared", "c", {}).ok());
  harness_.Settle();
  EXPECT_THAT(Drain(*watch, &revision),
              ElementsAre("put acme/a@2", "pinned acme/a@2", "deleting acme/b@1",
                          "deleted acme/b@1", "deleting shared/c@1", "deleted shared/c@1"));
  EXPECT_EQ(revision, catalog().revision());
}

TEST_F(CatalogWatchTest, OnlyTheEndOfASnapshotCarriesItsRevision) {
  Put("a", 1);
  Put("b", 1);
  auto watch = *catalog().Watch("acme", 0);
  EXPECT_EQ((*watch->Next(absl::ZeroDuration()))->revision, 0u);
  EXPECT_EQ((*watch->Next(absl::ZeroDuration()))->revision, 0u);
  const auto end = *watch->Next(absl::ZeroDuration());
  EXPECT_EQ(end->kind, CatalogEvent::Kind::kSnapshotEnd);
  EXPECT_EQ(end->revision, catalog().revision());
}

TEST_F(CatalogWatchTest, NewsAreAnnouncedOnceThereIsSomethingToRead) {
  harness_.limits.max_watch_queue = 1;
  ASSERT_TRUE(harness_.Restart().ok());
  auto watch = *catalog().Watch("acme", 0);
  int news = 0;
  std::vector<std::string> read;
  watch->OnNews([&] { ++news; });
  EXPECT_THAT(Drain(*watch), ElementsAre("."));
  Put("x", 1, "globex");  // none of its business
  EXPECT_EQ(news, 0);
  Put("a", 1);
  EXPECT_EQ(news, 1);
  EXPECT_THAT(Drain(*watch), ElementsAre("put acme/a@1"));
  for (uint64_t seed = 2; seed <= 4; ++seed) Put("a", seed);  // one fits beside the snapshot's end
  EXPECT_EQ(news, 4);  // two events and the cut, nothing after it
  EXPECT_FALSE(watch->Next(absl::ZeroDuration()).ok());
  Put("a", 5);
  EXPECT_EQ(news, 4);
  auto other = *catalog().Watch("acme", 0);
  other->OnNews([&] { ++news; });
  harness_.Stop();
  EXPECT_GE(news, 5);
}

TEST_F(CatalogWatchTest, NobodyHearsOfAnothersAdapters) {
  auto watch = *catalog().Watch("globex", 0);
  Put("a", 1);
  ASSERT_TRUE(catalog().Delete("acme", "a", {}).ok());
  harness_.Settle();
  EXPECT_THAT(Drain(*watch), ElementsAre("."));
  EXPECT_THAT(Drain(**catalog().Watch("globex", 0)), ElementsAre("."));
}

TEST_F(CatalogWatchTest, WhoComesBackGoesOnWhereItWas) {
  Put("a", 1);
  uint64_t revision = 0;
  {
    auto watch = *catalog().Watch("acme", 0);
    Drain(*watch, &revision);
  }
  Put("b", 1);
  Put("x", 1, "globex");
  Put("c", 1);
  auto watch = *catalog().Watch("acme", revision);
  EXPECT_THAT(Drain(*watch), ElementsAre("put acme/b@1", "put acme/c@1"));
  auto nothing_new = *catalog().Watch("acme", catalog().revision());
  EXPECT_THAT(Drain(*nothing_new), IsEmpty());
}

TEST_F(CatalogWatchTest, AForgottenRevisionIsOutOfRange) {
  harness_.limits.max_history = 2;
  ASSERT_TRUE(harness_.Restart().ok());
  Put("a", 1);
  const uint64_t early = catalog().revision();
  Put("a", 2);
  Put("a", 3);
  EXPECT_THAT(Drain(**catalog().Watch("acme", early)), ElementsAre("put acme/a@2", "put acme/a@3"));
  Put("a", 4);
  for (const uint64_t since : {early, uint64_t{1}, catalog().revision() + 1, UINT64_MAX}) {
    const absl::Status status = catalog().Watch("acme", since).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ(ReasonOf(status), Reason::kWatcherBehind);
    EXPECT_EQ(RefusalOf(status)->got, std::to_string(since));
  }
}

TEST_F(CatalogWatchTest, ASlowWatcherIsCutWithItsRevisionAndCanGoOn) {
  harness_.limits.max_watch_queue = 3;
  ASSERT_TRUE(harness_.Restart().ok());
  auto watch = *catalog().Watch("acme", 0);
  auto other = *catalog().Watch("acme", 0);
  EXPECT_THAT(Drain(*watch), ElementsAre("."));
  Put("a", 1);
  const uint64_t delivered = (*watch->Next(absl::ZeroDuration()))->revision;
  for (uint64_t seed = 2; seed <= 6; ++seed) {
    Put("a", seed);
    EXPECT_FALSE(Drain(*other).empty());  // who reads is not disturbed
  }
  const absl::Status cut = watch->Next(absl::Seconds(10)).status();
  EXPECT_EQ(cut.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(cut), Reason::kWatcherBehind);
  EXPECT_EQ(RefusalOf(cut)->got, std::to_string(delivered));
  EXPECT_FALSE(watch->Next(absl::ZeroDuration()).ok());  // and stays cut
  EXPECT_THAT(
      Drain(**catalog().Watch("acme", delivered)),
      ElementsAre("put acme/a@2", "put acme/a@3", "put acme/a@4", "put acme/a@5", "put acme/a@6"));
}

TEST_F(CatalogWatchTest, ALongSnapshotDoesNotCutItsWatcher) {
  harness_.limits.max_watch_queue = 1;
  ASSERT_TRUE(harness_.Restart().ok());
  for (const char* name : {"a", "b", "c", "d"}) Put(name, 1);
  auto watch = *catalog().Watch("acme", 0);
  Put("e", 1);
  EXPECT_THAT(Drain(*watch), testing::SizeIs(6));
}

TEST_F(CatalogWatchTest, RevisionsOfAnEarlierProcessAreNeverMistaken) {
  Put("a", 1);
  const uint64_t before = catalog().revision();
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_GT(catalog().revision(), before);
  const absl::Status status = catalog().Watch("acme", before).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(status), Reason::kWatcherBehind);
  EXPECT_THAT(Drain(**catalog().Watch("acme", 0)), ElementsAre("put acme/a@1", "."));
}

TEST_F(CatalogWatchTest, AWatchOutlivesTheCatalogAndSaysSo) {
  auto watch = *catalog().Watch("acme", catalog().revision());
  std::thread reader([&] {
    const auto event = watch->Next(absl::Seconds(60));
    EXPECT_EQ(event.status().code(), absl::StatusCode::kUnavailable) << event.status();
  });
  harness_.Stop();
  reader.join();
}

TEST_F(CatalogWatchTest, ReadersWritersAndBackgroundMeetWithoutLoss) {
  harness_.limits.max_watch_queue = 4096;
  ASSERT_TRUE(harness_.Restart().ok());
  constexpr int kRounds = 20;
  auto watch = *catalog().Watch("acme", 0);
  std::vector<std::thread> writers;
  for (const char* name : {"a", "b", "c"}) {
    writers.emplace_back([&, name = std::string(name)] {
      for (uint64_t round = 0; round < kRounds; ++round) {
        EXPECT_TRUE(harness_.Put("acme", name, round % 3).ok());
        const auto version = catalog().Resolve("acme", name);
        EXPECT_TRUE(version.ok() && test::LoadImage(**version).ok());
        if (round % 5 == 4) {
          EXPECT_TRUE(catalog().Delete("acme", name, {}).ok());
        }
      }
    });
  }
  std::atomic<bool> done{false};
  std::thread background([&] {
    while (!done) harness_.catalog().RunBackground();
  });
  for (std::thread& writer : writers) writer.join();
  done = true;
  background.join();
  harness_.Settle();
  uint64_t last = 0;
  int puts = 0;
  std::map<std::string, int> open;  // deletions that have not ended
  while (true) {
    const auto event = watch->Next(absl::ZeroDuration());
    ASSERT_TRUE(event.ok()) << event.status();
    if (!event->has_value()) break;
    if ((*event)->kind == CatalogEvent::Kind::kSnapshotEnd) continue;
    EXPECT_GT((*event)->revision, last);
    last = (*event)->revision;
    puts += (*event)->kind == CatalogEvent::Kind::kPut;
    const std::string key = (*event)->adapter.name + std::to_string((*event)->adapter.version);
    if ((*event)->kind == CatalogEvent::Kind::kDeleting) ++open[key];
    if ((*event)->kind == CatalogEvent::Kind::kDeleted) {
      EXPECT_EQ(--open[key], 0);
    }
  }
  EXPECT_EQ(last, catalog().revision());
  EXPECT_EQ(puts, 3 * kRounds);
  for (const auto& [key, count] : open) EXPECT_EQ(count, 0) << key;
  EXPECT_THAT(harness_.Paths("objects/"), IsEmpty());
}

}  // namespace
}  // namespace chorus::engine
