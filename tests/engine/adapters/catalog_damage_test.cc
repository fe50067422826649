// A disk that forgets: damage is noticed on load, at start and by the scrubber, refused by name,
// and healed by uploading again. Images are a cache and only ever made again.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/catalog_harness.h"

namespace chorus::engine {
namespace {

using test::CatalogHarness;
using test::LoadImage;
using test::ReasonOf;
using test::SmallAdapter;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CatalogDamageTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(harness_.Open().ok()); }
  StoredCatalog& catalog() { return harness_.catalog(); }
  static std::string TensorsPath(uint64_t seed) {
    return ObjectPath(Sha256Hex(SmallAdapter::Make(seed).tensors));
  }
  void RemoveImages() {
    test::FaultFs files = harness_.files();
    for (const std::string& path : harness_.Paths("images/")) {
      ASSERT_TRUE(files.Unlink(path).ok());
    }
  }
  void ExpectDamaged(const std::string& name) {
    const absl::Status status = catalog().Resolve("acme", name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_EQ(ReasonOf(status), Reason::kAdapterDamaged);
    EXPECT_THAT(RefusalOf(status)->object, HasSubstr(name));
    EXPECT_EQ(catalog().Get("acme", name)->state, AdapterState::kDamaged);
  }
  void ExpectHeals(const std::string& name, uint64_t seed) {
    const auto healed = harness_.Put("acme", name, seed);
    ASSERT_TRUE(healed.ok()) << healed.status();
    EXPECT_EQ(healed->state, AdapterState::kReady);
    EXPECT_EQ(healed->version, 1);
    EXPECT_TRUE(LoadImage(**catalog().Resolve("acme", name)).ok());
    ASSERT_TRUE(harness_.Restart().ok());
    RemoveImages();
    EXPECT_TRUE(LoadImage(**catalog().Resolve("acme", name)).ok());
  }

  CatalogHarness harness_;
};

TEST_F(CatalogDamageTest, AFlippedBitIsNoticedOnLoad) {
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  ASSERT_TRUE(harness_.Put("acme", "b", 2).ok());
  auto watch = *catalog().Watch("acme", catalog().revision());
  AdapterRef a = *catalog().Resolve("acme", "a");
  RemoveImages();
  harness_.disk().Corrupt(TensorsPath(1), 700);
  EXPECT_EQ(LoadImage(*a).code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(LoadImage(**catalog().Resolve("acme", "b")).ok());
  ExpectDamaged("a");
  harness_.Settle();
  const auto event = watch->Next(absl::ZeroDuration());
  ASSERT_TRUE(event.ok() && event->has_value());
  EXPECT_EQ((*event)->adapter.state, AdapterState::kDamaged);
  a.reset();  // a version keeps the store's lock
  ExpectHeals("a", 1);
}

TEST_F(CatalogDamageTest, AnObjectCutShortIsNoticedAtStart) {
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  harness_.Stop();
  test::FaultFs files = harness_.files();
  ASSERT_TRUE(files.Unlink(TensorsPath(1)).ok());
  auto shorter = files.Create(TensorsPath(1));
  ASSERT_TRUE((*shorter)->Append("short").ok());
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_EQ(catalog().recovery().damaged, 1);
  EXPECT_THAT(catalog().recovery().notes, SizeIs(1));
  ExpectDamaged("a");
  ExpectHeals("a", 1);
}

TEST_F(CatalogDamageTest, AMissingObjectIsNoticedAtStartAndCanBeDeleted) {
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  harness_.Stop();
  test::FaultFs files = harness_.files();
  ASSERT_TRUE(files.Unlink(TensorsPath(1)).ok());
  ASSERT_TRUE(harness_.Restart().ok());
  ExpectDamaged("a");
  EXPECT_TRUE(catalog().Delete("acme", "a", {}).ok());
  harness_.Settle();
  EXPECT_THAT(harness_.Paths("objects/"), IsEmpty());
}

TEST_F(CatalogDamageTest, TheScrubberFindsAFlippedBit) {
  harness_.scrub_bytes_per_second = 50e6;
  ASSERT_TRUE(harness_.Restart().ok());
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  ASSERT_TRUE(harness_.Put("acme", "b", 2).ok());
  harness_.clock.Advance(absl::Hours(24 * 8));
  const auto scrub = [&] {
    for (int i = 0; i < 20; ++i) {
      catalog().RunBackground();
      harness_.clock.Advance(absl::Seconds(1));
    }
  };
  scrub();
  EXPECT_TRUE(catalog().Resolve("acme", "a").ok());
  harness_.disk().Corrupt(TensorsPath(1), 700);
  scrub();  // the pass of this week is over
  EXPECT_TRUE(catalog().Resolve("acme", "a").ok());
  harness_.clock.Advance(absl::Hours(24 * 7));
  scrub();
  ExpectDamaged("a");
  EXPECT_TRUE(catalog().Resolve("acme", "b").ok());
}

TEST_F(CatalogDamageTest, TheScrubberKeepsToItsRate) {
  harness_.scrub_bytes_per_second = 100;
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  ASSERT_TRUE(harness_.Restart().ok());
  const absl::Duration wait = catalog().RunBackground();
  // One object at 100 bytes a second: config and tensors lie in the order of their hashes.
  EXPECT_GT(wait, absl::Seconds(1));
  EXPECT_LT(wait, absl::Seconds(20));
  EXPECT_LE(catalog().RunBackground(), wait);  // nothing before its time
}

TEST_F(CatalogDamageTest, ATornImageIsMadeAgain) {
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  const std::string path = harness_.Paths("images/").at(0);
  const std::string whole = harness_.disk().Files().at(path);
  for (const size_t at : {size_t{20}, size_t{200}, whole.size() / 2, whole.size() - 1}) {
    ASSERT_TRUE(harness_.Restart().ok());
    harness_.disk().Corrupt(path, at);
    EXPECT_TRUE(LoadImage(**catalog().Resolve("acme", "a")).ok()) << at;
    EXPECT_EQ(harness_.disk().Files().at(path), whole) << at;
  }
}

TEST_F(CatalogDamageTest, AnImageForAnotherPoolIsMadeAgain) {
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  const std::string f32 = harness_.Paths("images/").at(0);
  harness_.geometry.dtype = kernels::DType::kBf16;
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_THAT(harness_.Paths("images/"), IsEmpty());  // nobody will want the old one again
  ASSERT_TRUE((*catalog().Resolve("acme", "a"))->OpenImage().ok());
  ASSERT_THAT(harness_.Paths("images/"), SizeIs(1));
  EXPECT_NE(harness_.Paths("images/").at(0), f32);
}

TEST_F(CatalogDamageTest, LoadsGoOnWhenImagesCannotBeWritten) {
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  RemoveImages();
  ASSERT_TRUE(harness_.Restart().ok());
  const AdapterRef a = *catalog().Resolve("acme", "a");
  for (int64_t call = 0; call < 12; ++call) {
    harness_.disk().FailCall(call, test::Fault::kNoSpace);
    const absl::Status loaded = LoadImage(*a);
    // Reading fails as an error of that load; writing the cache never does.
    EXPECT_TRUE(loaded.ok() || absl::IsDataLoss(loaded)) << call << ": " << loaded;
    RemoveImages();
  }
}

TEST_F(CatalogDamageTest, AnUnreadableDiskIsNotAnswerEnoughToMoveAManifestAway) {
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  ASSERT_TRUE(catalog().Delete("acme", "a", {}).ok());  // there is a version floor too
  ASSERT_TRUE(harness_.Put("acme", "b", 1).ok());
  harness_.Stop();
  int64_t refused = 0;
  for (int64_t call = 0;; ++call) {
    harness_.disk().FailCall(call, test::Fault::kIoError);
    const absl::Status opened = harness_.Open();
    const bool fired = harness_.disk().fault_fired();
    harness_.disk().FailCall(-1, test::Fault::kIoError);
    refused += !opened.ok();
    ASSERT_TRUE(harness_.Open().ok()) << call;
    EXPECT_EQ(catalog().Get("acme", "b")->version, 2) << call;
    EXPECT_THAT(harness_.Paths("quarantine/"), IsEmpty()) << call;
    harness_.Stop();
    if (!fired) break;
  }
  EXPECT_GT(refused, 10);
}

TEST_F(CatalogDamageTest, ATornManifestGoesToQuarantineAndTheRestIsServed) {
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  ASSERT_TRUE(harness_.Put("acme", "b", 2).ok());
  harness_.Stop();
  harness_.disk().Corrupt("manifests/acme/a", 40);
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_EQ(catalog().recovery().quarantined, 1);
  EXPECT_EQ(catalog().Resolve("acme", "a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(LoadImage(**catalog().Resolve("acme", "b")).ok());
  // What it may have named is kept for whoever repairs it, through any number of starts.
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_TRUE(harness_.disk().Files().contains(TensorsPath(1)));
  EXPECT_THAT(harness_.Paths("quarantine/"), SizeIs(1));
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
}

}  // namespace
}  // namespace chorus::engine
