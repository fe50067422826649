// The store below the catalog: what it opens and what it refuses, what a failed fsync does to it,
// the files it writes.
#include "engine/adapters/directory_store.h"

#include "engine/adapters/store_names.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/catalog_harness.h"

namespace chorus::engine {
namespace {

using test::CatalogHarness;
using test::Fault;
using test::FaultDisk;
using test::FaultFs;
using test::LoadImage;
using test::ReasonOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class VolatileFs : public FaultFs {
 public:
  using FaultFs::FaultFs;
  absl::StatusOr<std::string> VolatileKind() override { return std::string("tmpfs"); }
};

class FullFs : public FaultFs {
 public:
  FullFs(std::shared_ptr<FaultDisk> disk, uint64_t free_bytes)
      : FaultFs(std::move(disk)), free_bytes_(free_bytes) {}
  absl::StatusOr<uint64_t> FreeBytes() override { return free_bytes_; }

 private:
  const uint64_t free_bytes_;
};

TEST(DirectoryStoreTest, AVolatileFileSystemIsRefusedUnlessAllowed) {
  test::FakeClock clock;
  const auto disk = std::make_shared<FaultDisk>();
  const auto refused = DirectoryStore::Open({}, std::make_unique<VolatileFs>(disk), &clock);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("tmpfs"));
  EXPECT_THAT(disk->Files(), IsEmpty());  // and it left no trace
  StoreOptions options;
  options.allow_volatile = true;
  EXPECT_TRUE(DirectoryStore::Open(options, std::make_unique<VolatileFs>(disk), &clock).ok());
}

TEST(DirectoryStoreTest, ASecondProcessIsRefused) {
  test::FakeClock clock;
  const auto disk = std::make_shared<FaultDisk>();
  auto first = DirectoryStore::Open({}, std::make_unique<FaultFs>(disk), &clock);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(DirectoryStore::Open({}, std::make_unique<FaultFs>(disk), &clock).status().code(),
            absl::StatusCode::kUnavailable);
  *first = nullptr;
  EXPECT_TRUE(DirectoryStore::Open({}, std::make_unique<FaultFs>(disk), &clock).ok());
}

TEST(DirectoryStoreTest, AStoreForAModelOfAnotherShapeIsRefused) {
  CatalogHarness harness;
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Put("acme", "a", 1).ok());
  harness.model.intermediate *= 2;
  const absl::Status status = harness.Restart();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("model of another shape"));
  harness.model = test::SmallModel();
  ASSERT_TRUE(harness.Restart().ok());
  EXPECT_THAT(harness.catalog().List("acme"), SizeIs(1));
}

TEST(DirectoryStoreTest, TheReserveIsKeptFree) {
  test::FakeClock clock;
  StoreOptions options;
  options.reserved_bytes = 1000;
  auto store = DirectoryStore::Open(
      options, std::make_unique<FullFs>(std::make_shared<FaultDisk>(), 5000), &clock);
  ASSERT_TRUE(store.ok());
  EXPECT_TRUE((*store)->Stage(4000).ok());
  for (const uint64_t bytes : {uint64_t{4001}, UINT64_MAX}) {
    const absl::Status status = (*store)->Stage(bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(status), Reason::kStoreFull);
  }
}

class FailedSyncTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(harness_.Open().ok());
    ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  }
  absl::Status PutWithFailed(const std::string& call, uint64_t seed) {
    harness_.disk().FailNext(call, Fault::kIoError);
    const absl::Status status = harness_.Put("acme", "a", seed).status();
    EXPECT_TRUE(harness_.disk().fault_fired());
    return status;
  }

  CatalogHarness harness_;
};

TEST_F(FailedSyncTest, OfOneObjectIsAnAnswerOfTwoALatch) {
  const AdapterDigest before = harness_.catalog().Get("acme", "a")->digest;
  const absl::Status first = PutWithFailed("fsync", 2);
  EXPECT_EQ(first.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(harness_.catalog().Writable().ok());
  EXPECT_TRUE(harness_.Put("acme", "b", 2).ok());  // a retry is a new file
  harness_.clock.Advance(absl::Minutes(11));
  EXPECT_EQ(PutWithFailed("fsync", 3).code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(harness_.catalog().Writable().ok());  // long after the first
  const absl::Status latched = PutWithFailed("fsync", 4);
  EXPECT_EQ(latched.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(latched), Reason::kStoreReadOnly);
  EXPECT_FALSE(harness_.catalog().Writable().ok());
  EXPECT_EQ(harness_.catalog().Get("acme", "a")->digest, before);
}

TEST_F(FailedSyncTest, OfADirectoryLatchesAtOnceAndReadingGoesOn) {
  const absl::Status latched = PutWithFailed("fsync of a directory", 2);
  EXPECT_EQ(latched.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(latched), Reason::kStoreReadOnly);
  StoredCatalog& catalog = harness_.catalog();
  for (const absl::Status& status :
       {catalog.Writable(), harness_.Put("acme", "b", 3).status(),
        catalog.Delete("acme", "a", {}).status(), catalog.SetPinned("acme", "a", true, {}).status(),
        catalog.BeginUpload(RequestFor("acme", "c", test::SmallAdapter::Make(5))).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_EQ(ReasonOf(status), Reason::kStoreReadOnly) << status;
  }
  EXPECT_TRUE(LoadImage(**catalog.Resolve("acme", "a")).ok());
  // Garbage stays: the manifest on disk may still name it.
  const size_t objects = harness_.Paths("objects/").size();
  harness_.Settle();
  EXPECT_THAT(harness_.Paths("objects/"), SizeIs(objects));
  EXPECT_THAT(harness_.Paths("failed"), SizeIs(1));
  // A restart reads everything again, and clears it.
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_TRUE(harness_.catalog().recovery().read_all_objects);
  EXPECT_THAT(harness_.Paths("failed"), IsEmpty());
  EXPECT_TRUE(harness_.catalog().Writable().ok());
  EXPECT_TRUE(harness_.Put("acme", "b", 3).ok());
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_FALSE(harness_.catalog().recovery().read_all_objects);
}

TEST_F(FailedSyncTest, ARestartAfterItFindsWhatTheDiskDoesNotHave) {
  ASSERT_TRUE(harness_.Put("acme", "b", 2).ok());
  EXPECT_EQ(ReasonOf(PutWithFailed("fsync of a directory", 3)), Reason::kStoreReadOnly);
  harness_.Stop();
  harness_.disk().Corrupt(ObjectPath(Sha256Hex(test::SmallAdapter::Make(2).tensors)), 700);
  ASSERT_TRUE(harness_.Restart().ok());
  EXPECT_EQ(harness_.catalog().recovery().damaged, 1);
  EXPECT_EQ(harness_.catalog().Resolve("acme", "b").status().code(), absl::StatusCode::kDataLoss);
}

TEST(StoreNamesTest, FileNamesAreReadableUniqueAndComeBack) {
  EXPECT_EQ(FileNameOf("plain-1.0_x"), "plain-1.0_x");
  EXPECT_EQ(FileNameOf("Ab"), "ab+1");
  EXPECT_EQ(FileNameOf("aB"), "ab+2");
  EXPECT_EQ(FileNameOf("abcdE"), "abcde+10");
  for (const char* name : {"a", "A", "aB", "Ab", "AB", "0", "Z.z", "x_-Y"}) {
    EXPECT_EQ(NameOfFile(FileNameOf(name)), name);
  }
  EXPECT_EQ(NameOfFile(FileNameOf(std::string(128, 'Q'))), std::string(128, 'Q'));
  for (const char* file : {"", "+1", ".a", "Ab", "ab+", "ab+0", "ab+01", "ab+4", "ab+x", "ab+1+1",
                           "1+1", "a/b", "+floor"}) {
    EXPECT_EQ(NameOfFile(file), std::nullopt) << file;
  }
}

TEST(ManifestTest, EveryChangedByteIsNoticed) {
  CatalogHarness harness;
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Put("Acme", "a", 1).ok());
  const std::string text = harness.disk().Files().at("manifests/acme+1/a");
  const auto manifest = Manifest::Parse(text);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->Serialize(), text);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] ^= 1;
    EXPECT_EQ(Manifest::Parse(other).status().code(), absl::StatusCode::kDataLoss) << i;
    EXPECT_EQ(Manifest::Parse(text.substr(0, i)).status().code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_FALSE(Manifest::Parse(text + text).ok());
}

TEST(ManifestTest, TextOfStrangersComesBackAsItWas) {
  Manifest manifest;
  manifest.tenant = "t";
  manifest.name = "n";
  manifest.version = int64_t{1} << 61;
  manifest.created = absl::FromUnixNanos(1234567890123456789);
  manifest.pinned = true;
  manifest.config = {std::string(64, 'a'), 1};
  manifest.tensors = {std::string(64, 'b'), uint64_t{1} << 40};
  manifest.use_rslora = true;
  manifest.invocation = {0, 5, 151665};
  manifest.base_model_name_or_path = std::string("a\nend \"\\ \0\xff\xc3\xa9 z", 16);
  manifest.warnings = {"", "line\nmodule 0", std::string(2, '\0')};
  manifest.modules = {{0, 3, kernels::kQ, 8, 0.1, 0.1f / 8, true},
                      {2, 2, kernels::kDown, 256, -1e-300, 1e-38f, false}};
  const auto read = Manifest::Parse(manifest.Serialize());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, manifest);
}

TEST(ManifestTest, ALayerThatTheModelDoesNotHaveIsDamage) {
  Manifest manifest;
  manifest.modules = {{0, 5, kernels::kQ, 8, 1, 1, false}};
  EXPECT_TRUE(SpecOf(manifest, 6).ok());
  EXPECT_EQ(SpecOf(manifest, 5).status().code(), absl::StatusCode::kDataLoss);
  manifest.modules.push_back({5, 5, kernels::kQ, 8, 1, 1, false});
  EXPECT_EQ(SpecOf(manifest, 6).status().code(), absl::StatusCode::kDataLoss);
}

TEST(VersionFloorTest, EveryChangedByteIsNoticed) {
  const std::string text = SerializeFloor(41);
  EXPECT_EQ(*ParseFloor(text), 41);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] ^= 1;
    EXPECT_EQ(ParseFloor(other).status().code(), absl::StatusCode::kDataLoss) << i;
    EXPECT_FALSE(ParseFloor(text.substr(0, i)).ok());
  }
  EXPECT_FALSE(ParseFloor(text + "\n").ok());
  EXPECT_FALSE(ParseFloor(SerializeFloor(-1)).ok());
}

}  // namespace
}  // namespace chorus::engine
