// What a tenant sees of its own adapters: names, versions, replacement, deletion, pins, and that
// all of it outlives the process.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/catalog_harness.h"

namespace chorus::engine {
namespace {

using test::CatalogHarness;
using test::LoadImage;
using test::ReasonOf;
using test::SmallAdapter;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CatalogTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(harness_.Open().ok()); }

  StoredCatalog& catalog() { return harness_.catalog(); }
  AdapterInfo Put(const std::string& name, uint64_t seed) {
    auto info = harness_.Put("acme", name, seed);
    EXPECT_TRUE(info.ok()) << info.status();
    return info.ok() ? *info : AdapterInfo();
  }

  CatalogHarness harness_;
};

TEST_F(CatalogTest, UploadSaysWhatTheAdapterIs) {
  const SmallAdapter adapter = SmallAdapter::Make(1, /*rank=*/3);
  const auto info = Send(catalog(), RequestFor("acme", "Fr-legal_1.0", adapter), adapter);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->tenant, "acme");
  EXPECT_EQ(info->name, "Fr-legal_1.0");
  EXPECT_EQ(info->version, 1);
  EXPECT_EQ(info->state, AdapterState::kReady);
  EXPECT_EQ(info->config_bytes, static_cast<int64_t>(adapter.config.size()));
  EXPECT_EQ(info->tensor_bytes, static_cast<int64_t>(adapter.tensors.size()));
  EXPECT_EQ(info->max_rank, 3);
  EXPECT_GT(info->pages, 0);
  EXPECT_THAT(info->modules, ElementsAre("q_proj"));
  EXPECT_EQ(info->base_model_name_or_path, "small");
  EXPECT_EQ(info->created, harness_.clock.Now());
  EXPECT_FALSE(info->pinned);
}

TEST_F(CatalogTest, EveryFormOfNameFindsTheVersion) {
  const AdapterInfo info = Put("a", 1);
  for (const std::string& model :
       {std::string("a"), std::string("a@1"), "sha256:" + info.digest.Hex()}) {
    const auto version = catalog().Resolve("acme", model);
    ASSERT_TRUE(version.ok()) << model << ": " << version.status();
    EXPECT_EQ((*version)->digest(), info.digest);
    EXPECT_EQ((*version)->version(), 1);
    EXPECT_EQ((*version)->layout().num_ids, info.pages);
    EXPECT_TRUE(LoadImage(**version).ok());
    EXPECT_EQ(catalog().Get("acme", model)->digest, info.digest);
  }
}

TEST_F(CatalogTest, WhatIsNotThereIsNotFound) {
  Put("a", 1);
  for (const std::string& model :
       {std::string("b"), std::string("a@2"), std::string("a@"), std::string("a@x"),
        std::string("A"), std::string("sha256:") + std::string(64, '0'), std::string("sha256:x"),
        std::string(), std::string("@1"), std::string("../a"), std::string(500, 'x')}) {
    for (const absl::Status& status :
         {catalog().Resolve("acme", model).status(), catalog().Get("acme", model).status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << model;
      EXPECT_EQ(ReasonOf(status), Reason::kAdapterNotFound) << model;
      EXPECT_LT(status.message().size(), 200u);
    }
  }
  EXPECT_EQ(catalog().Delete("acme", "b", {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(catalog().SetPinned("acme", "b", true, {}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(CatalogTest, ListIsInOrderOfNames) {
  for (const char* name : {"c", "a", "b"}) Put(name, 1);
  std::vector<std::string> names;
  for (const AdapterInfo& info : catalog().List("acme")) names.push_back(info.name);
  EXPECT_THAT(names, ElementsAre("a", "b", "c"));
}

TEST_F(CatalogTest, ReplacementSwitchesTheNameAndLeavesUsersTheirVersion) {
  const AdapterInfo first = Put("a", 1);
  AdapterRef running = *catalog().Resolve("acme", "a");
  const AdapterInfo second = Put("a", 2);
  EXPECT_EQ(second.version, 2);
  EXPECT_NE(second.digest, first.digest);
  EXPECT_EQ((*catalog().Resolve("acme", "a"))->digest(), second.digest);
  // The old one goes on, can still be named by number, and is collected after its last user.
  EXPECT_EQ((*catalog().Resolve("acme", "a@1"))->digest(), first.digest);
  harness_.Settle();
  EXPECT_TRUE(LoadImage(*running).ok());
  EXPECT_THAT(harness_.Paths("objects/"), SizeIs(3));  // both have the same config
  running.reset();
  harness_.Settle();
  EXPECT_THAT(harness_.Paths("objects/"), SizeIs(2));
  EXPECT_THAT(harness_.Paths("images/"), SizeIs(1));
  EXPECT_EQ(catalog().Resolve("acme", "a@1").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CatalogTest, IfVersionGuardsReplacement) {
  const auto missing = harness_.Put("acme", "a", 1, 3);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kAborted);
  ASSERT_TRUE(harness_.Put("acme", "a", 1, 0).ok());  // must not exist: right
  const auto taken = harness_.Put("acme", "a", 2, 0);
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(taken.status()), Reason::kAlreadyExists);
  const auto other = harness_.Put("acme", "a", 2, 7);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kAborted);
  const std::optional<Refusal> refusal = RefusalOf(other.status());
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, Reason::kVersionMismatch);
  EXPECT_EQ(refusal->object, "adapter \"a\"");
  EXPECT_EQ(refusal->expected, "version 7");
  EXPECT_EQ(refusal->got, "version 1");
  EXPECT_EQ(harness_.Put("acme", "a", 2, 1)->version, 2);
  EXPECT_EQ(catalog().Delete("acme", "a", 1).status().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(catalog().Delete("acme", "a", 2).ok());
}

// The loser of a race learns at its commit that the version is no longer the one it meant.
TEST_F(CatalogTest, IfVersionIsLookedAtAgainAtCommit) {
  Put("a", 1);
  const SmallAdapter adapter = SmallAdapter::Make(2);
  auto slow = catalog().BeginUpload(RequestFor("acme", "a", adapter, 1));
  ASSERT_TRUE(slow.ok());
  ASSERT_TRUE((*slow)->AppendConfig(adapter.config).ok());
  ASSERT_TRUE((*slow)->AppendTensors(adapter.tensors).ok());
  const AdapterInfo winner = Put("a", 3);
  EXPECT_EQ((*slow)->Commit().status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(catalog().Get("acme", "a")->digest, winner.digest);
}

TEST_F(CatalogTest, RetryAfterALostAnswerIsTheSameVersion) {
  const AdapterInfo first = Put("a", 1);
  const uint64_t revision = catalog().revision();
  for (const std::optional<int64_t> if_version : {std::optional<int64_t>(), {0}, {5}}) {
    const auto again = harness_.Put("acme", "a", 1, if_version);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->version, first.version);
    EXPECT_EQ(again->created, first.created);
  }
  EXPECT_EQ(catalog().revision(), revision);  // nothing happened
  harness_.Settle();
  EXPECT_THAT(harness_.Paths("objects/"), SizeIs(2));
  EXPECT_THAT(harness_.Paths("staging/"), IsEmpty());
}

TEST_F(CatalogTest, DeleteTakesTheNameAtOnceAndTheBytesAfterTheLastUser) {
  const AdapterInfo info = Put("a", 1);
  AdapterRef running = *catalog().Resolve("acme", "a");
  std::vector<std::string> forgotten;
  catalog().OnForget([&](const std::string& tenant, const AdapterDigest& digest) {
    forgotten.push_back(tenant + " " + digest.Hex());
  });
  const auto deleted = catalog().Delete("acme", "a", {});
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->state, AdapterState::kDeleting);
  EXPECT_EQ(deleted->version, 1);
  EXPECT_THAT(forgotten, ElementsAre("acme " + info.digest.Hex()));
  for (const std::string& model :
       {std::string("a"), std::string("a@1"), "sha256:" + info.digest.Hex()}) {
    EXPECT_EQ(catalog().Resolve("acme", model).status().code(), absl::StatusCode::kNotFound);
  }
  EXPECT_THAT(catalog().List("acme"), IsEmpty());
  harness_.Settle();
  EXPECT_TRUE(LoadImage(*running).ok());
  running.reset();
  harness_.Settle();
  EXPECT_THAT(harness_.Paths("objects/"), IsEmpty());
  EXPECT_THAT(harness_.Paths("images/"), IsEmpty());
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_THAT(catalog().List("acme"), IsEmpty());
}

TEST_F(CatalogTest, OlderVersionsCannotBeNamedAfterADelete) {
  Put("a", 1);
  const AdapterRef running = *catalog().Resolve("acme", "a");
  Put("a", 2);
  ASSERT_TRUE(catalog().Resolve("acme", "a@1").ok());
  ASSERT_TRUE(catalog().Delete("acme", "a", {}).ok());
  EXPECT_EQ(catalog().Resolve("acme", "a@1").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CatalogTest, AVersionNumberNeverComesBack) {
  Put("a", 1);
  Put("a", 2);
  ASSERT_TRUE(catalog().Delete("acme", "a", {}).ok());
  EXPECT_EQ(Put("a", 1).version, 3);
  ASSERT_TRUE(catalog().Delete("acme", "a", {}).ok());
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_EQ(Put("a", 1).version, 4);
}

TEST_F(CatalogTest, TwoNamesMayShareContentAndEachKeepsIt) {
  const AdapterInfo info = Put("a", 1);
  Put("b", 1);
  EXPECT_THAT(harness_.Paths("objects/"), SizeIs(2));
  bool forgotten = false;
  catalog().OnForget([&](const std::string&, const AdapterDigest&) { forgotten = true; });
  ASSERT_TRUE(catalog().Delete("acme", "a", {}).ok());
  EXPECT_FALSE(forgotten);  // "b" still names it
  harness_.Settle();
  EXPECT_EQ((*catalog().Resolve("acme", "sha256:" + info.digest.Hex()))->name(), "b");
  EXPECT_TRUE(LoadImage(**catalog().Resolve("acme", "b")).ok());
  ASSERT_TRUE(catalog().Delete("acme", "b", {}).ok());
  EXPECT_TRUE(forgotten);
}

TEST_F(CatalogTest, PinsOutliveTheProcessAndReplacement) {
  Put("a", 1);
  EXPECT_TRUE(catalog().SetPinned("acme", "a", true, {})->pinned);
  const uint64_t revision = catalog().revision();
  EXPECT_TRUE(catalog().SetPinned("acme", "a", true, {})->pinned);
  EXPECT_EQ(catalog().revision(), revision);  // it was pinned already
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_TRUE(catalog().Get("acme", "a")->pinned);
  EXPECT_TRUE(Put("a", 2).pinned);
  EXPECT_EQ(catalog().SetPinned("acme", "a", false, 1).status().code(),
            absl::StatusCode::kAborted);  // version 2 is there
  EXPECT_TRUE(catalog().Get("acme", "a")->pinned);
  EXPECT_FALSE(catalog().SetPinned("acme", "a", false, {})->pinned);
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_FALSE(catalog().Get("acme", "a")->pinned);
}

TEST_F(CatalogTest, EverythingIsThereAfterARestart) {
  const AdapterInfo a = Put("a", 1);
  Put("Name-With_Capitals.9", 2);
  Put("a", 3);
  std::vector<AdapterInfo> before = catalog().List("acme");
  ASSERT_TRUE(harness_.Restart().ok());
  const std::vector<AdapterInfo> after = catalog().List("acme");
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].name, before[i].name);
    EXPECT_EQ(after[i].version, before[i].version);
    EXPECT_EQ(after[i].digest, before[i].digest);
    EXPECT_EQ(after[i].created, before[i].created);
    EXPECT_EQ(after[i].max_rank, before[i].max_rank);
    EXPECT_EQ(after[i].pages, before[i].pages);
    EXPECT_EQ(after[i].modules, before[i].modules);
    EXPECT_TRUE(LoadImage(**catalog().Resolve("acme", after[i].name)).ok());
  }
  EXPECT_EQ(catalog().recovery().versions, 2);
  EXPECT_EQ(catalog().recovery().damaged, 0);
  // What "a" was first had no user left when the process ended.
  EXPECT_EQ(catalog().recovery().orphans_removed, 1);
  EXPECT_NE(catalog().Get("acme", "a")->digest, a.digest);
}

TEST_F(CatalogTest, WhatActivatesAnAdapterIsAnotherContentAndOutlivesTheProcess) {
  const AdapterInfo plain = Put("a", 1);
  test::SmallAdapter adapter = test::SmallAdapter::Make(1);
  adapter.config.insert(1, R"("alora_invocation_tokens": [7, 3],)");
  const auto activated = Send(catalog(), RequestFor("acme", "a", adapter), adapter);
  ASSERT_TRUE(activated.ok()) << activated.status();
  EXPECT_EQ(activated->version, 2);
  EXPECT_NE(activated->digest, plain.digest);
  for (int start = 0; start < 2; ++start) {
    EXPECT_THAT(catalog().Get("acme", "a")->invocation, ElementsAre(7, 3));
    EXPECT_THAT((*catalog().Resolve("acme", "a"))->invocation(), ElementsAre(7, 3));
    ASSERT_TRUE(harness_.Restart().ok());
  }
  EXPECT_TRUE(LoadImage(**catalog().Resolve("acme", "a")).ok());
}

TEST_F(CatalogTest, VersionsMayOutliveTheCatalog) {
  Put("a", 1);
  AdapterRef running = *catalog().Resolve("acme", "a");
  harness_.Stop();
  EXPECT_TRUE(LoadImage(*running).ok());
  EXPECT_EQ(harness_.Open().code(), absl::StatusCode::kUnavailable);  // it still has the lock
  running.reset();
  EXPECT_TRUE(harness_.Open().ok());
}

TEST_F(CatalogTest, TheBackgroundThreadCollectsByItself) {
  harness_.Stop();
  CatalogOptions options;
  options.model = harness_.model;
  options.geometry = harness_.geometry;
  options.files = std::make_unique<test::FaultFs>(std::make_shared<test::FaultDisk>());
  const auto opened = StoredCatalog::Open(std::move(options), Clock::Real());
  ASSERT_TRUE(opened.ok()) << opened.status();
  auto watch = (*opened)->Watch("acme", 0);
  const SmallAdapter adapter = SmallAdapter::Make(1);
  ASSERT_TRUE(Send(**opened, RequestFor("acme", "a", adapter), adapter).ok());
  ASSERT_TRUE((*opened)->Delete("acme", "a", {}).ok());
  std::vector<CatalogEvent::Kind> kinds;
  for (int i = 0; i < 4; ++i) {
    const auto event = (*watch)->Next(absl::Seconds(30));
    ASSERT_TRUE(event.ok() && event->has_value());
    kinds.push_back((*event)->kind);
  }
  EXPECT_THAT(kinds, ElementsAre(CatalogEvent::Kind::kSnapshotEnd, CatalogEvent::Kind::kPut,
                                 CatalogEvent::Kind::kDeleting, CatalogEvent::Kind::kDeleted));
}

}  // namespace
}  // namespace chorus::engine
