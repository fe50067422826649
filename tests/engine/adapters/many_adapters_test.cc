// Thousands of adapters in the catalog: a start reads manifests and nothing else, and what is asked
// of a page or of one adapter does not depend on how many there are.
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/catalog_harness.h"

namespace chorus::engine {
namespace {

using test::CatalogHarness;
using test::FaultDisk;
using test::FaultFs;

constexpr int kAdapters = 2000;

// Notes which files are read.
class NotingFiles : public FaultFs {
 public:
  NotingFiles(std::shared_ptr<FaultDisk> disk, std::vector<std::string>* opened)
      : FaultFs(std::move(disk)), opened_(opened) {}
  absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path) override {
    opened_->push_back(path.substr(0, path.find('/')));
    return FaultFs::Open(path);
  }

 private:
  std::vector<std::string>* const opened_;
};

class ManyAdaptersTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    disk_ = new std::shared_ptr<FaultDisk>(std::make_shared<FaultDisk>());
    CatalogHarness harness(*disk_);
    ASSERT_TRUE(harness.Open().ok());
    for (int i = 0; i < kAdapters; ++i) {
      const bool shared = i % 10 == 0;
      const auto put = harness.Put(shared ? std::string(kSharedTenant) : "t",
                                   absl::StrCat("adapter", i), static_cast<uint64_t>(i));
      ASSERT_TRUE(put.ok()) << put.status();
    }
  }
  static void TearDownTestSuite() { delete disk_; }

  static std::shared_ptr<FaultDisk>* disk_;
};
std::shared_ptr<FaultDisk>* ManyAdaptersTest::disk_ = nullptr;

TEST_F(ManyAdaptersTest, AStartReadsManifestsAndNoTensors) {
  std::vector<std::string> opened;
  test::FakeClock clock;
  CatalogOptions options;
  options.model = test::SmallModel();
  options.geometry = test::SmallGeometry();
  options.background = false;
  options.files = std::make_unique<NotingFiles>(*disk_, &opened);
  const absl::Time begin = absl::Now();
  const auto catalog = StoredCatalog::Open(std::move(options), &clock);
  const absl::Duration took = absl::Now() - begin;
  ASSERT_TRUE(catalog.ok()) << catalog.status();
  std::printf("%d adapters on a disk in memory: %.0f us each to start\n", kAdapters,
              absl::ToDoubleMicroseconds(took) / kAdapters);
  EXPECT_EQ((*catalog)->recovery().versions, kAdapters);
  EXPECT_EQ(std::count(opened.begin(), opened.end(), "manifests"), kAdapters);
  EXPECT_EQ(std::count(opened.begin(), opened.end(), "objects"), 0);
  EXPECT_EQ(std::count(opened.begin(), opened.end(), "images"), 0);
}

TEST_F(ManyAdaptersTest, PagesOfTheListTogetherAreTheList) {
  CatalogHarness harness(*disk_);
  ASSERT_TRUE(harness.Open().ok());
  std::vector<std::string> all;
  for (const AdapterInfo& info : harness.catalog().List("t")) all.push_back(info.name);
  std::sort(all.begin(), all.end());
  for (const int limit : {1, 7, 500, 5000}) {
    std::vector<std::string> paged;
    while (true) {
      const std::string after = paged.empty() ? "" : paged.back();
      const std::vector<AdapterInfo> page = harness.catalog().ListAfter("t", after, limit);
      EXPECT_LE(page.size(), static_cast<size_t>(limit));
      if (page.empty()) break;
      for (const AdapterInfo& info : page) paged.push_back(info.name);
    }
    EXPECT_EQ(paged, all) << limit;
  }
  EXPECT_THAT(harness.catalog().ListAfter("nobody", "", 3), ::testing::SizeIs(3));  // shared ones
}

}  // namespace
}  // namespace chorus::engine
