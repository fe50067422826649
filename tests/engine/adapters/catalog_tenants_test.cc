// Tenants: nobody sees, names or counts what is another's; everybody sees the shared ones; each has
// limits of its own.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/catalog_harness.h"

namespace chorus::engine {
namespace {

using test::CatalogHarness;
using test::LoadImage;
using test::ReasonOf;
using test::RequestFor;
using test::SmallAdapter;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CatalogTenantsTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(harness_.Open().ok()); }
  StoredCatalog& catalog() { return harness_.catalog(); }
  void Reopen() { ASSERT_TRUE(harness_.Restart().ok()); }

  const SmallAdapter adapter_ = SmallAdapter::Make(1);
  CatalogHarness harness_;
};

TEST_F(CatalogTenantsTest, AForeignAdapterIsAsAbsentAsNone) {
  const AdapterInfo info = *harness_.Put("acme", "secret", 1);
  for (const std::string& model :
       {std::string("secret"), std::string("secret@1"), "sha256:" + info.digest.Hex()}) {
    const absl::Status foreign = catalog().Resolve("globex", model).status();
    EXPECT_EQ(foreign.code(), absl::StatusCode::kNotFound);
    // Word for word what a tenant hears on a store where nobody has it.
    CatalogHarness empty;
    ASSERT_TRUE(empty.Open().ok());
    EXPECT_EQ(foreign, empty.catalog().Resolve("globex", model).status());
    EXPECT_EQ(catalog().Get("globex", model).status(),
              empty.catalog().Get("globex", model).status());
    EXPECT_EQ(catalog().Delete("globex", model, {}).status(),
              empty.catalog().Delete("globex", model, {}).status());
    EXPECT_EQ(catalog().SetPinned("globex", model, true, {}).status(),
              empty.catalog().SetPinned("globex", model, true, {}).status());
  }
  EXPECT_THAT(catalog().List("globex"), IsEmpty());
}

TEST_F(CatalogTenantsTest, TheSameContentIsStoredForEachAsIfAlone) {
  const AdapterInfo acme = *harness_.Put("acme", "a", 1);
  const AdapterInfo globex = *harness_.Put("globex", "a", 1);
  EXPECT_EQ(acme.digest, globex.digest);
  EXPECT_EQ(globex.version, 1);
  std::vector<std::string> forgotten;
  catalog().OnForget(
      [&](const std::string& tenant, const AdapterDigest&) { forgotten.push_back(tenant); });
  ASSERT_TRUE(catalog().Delete("acme", "a", {}).ok());
  EXPECT_THAT(forgotten, ElementsAre("acme"));
  harness_.Settle();
  EXPECT_TRUE(LoadImage(**catalog().Resolve("globex", "a")).ok());
  Reopen();
  EXPECT_THAT(catalog().List("acme"), IsEmpty());
  EXPECT_TRUE(LoadImage(**catalog().Resolve("globex", "a")).ok());
}

TEST_F(CatalogTenantsTest, EverybodyUsesSharedOnesAndNobodyChangesThem) {
  const AdapterInfo shared = *harness_.Put("shared", "common", 1);
  for (const char* tenant : {"acme", "globex"}) {
    EXPECT_EQ((*catalog().Resolve(tenant, "common"))->tenant(), "shared");
    EXPECT_EQ((*catalog().Resolve(tenant, "sha256:" + shared.digest.Hex()))->name(), "common");
    ASSERT_THAT(catalog().List(tenant), SizeIs(1));
    EXPECT_EQ(catalog().List(tenant)[0].tenant, "shared");
    EXPECT_EQ(catalog().Delete(tenant, "common", {}).status().code(),
              absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(catalog().SetPinned(tenant, "common", true, {}).status().code(),
              absl::StatusCode::kPermissionDenied);
  }
  EXPECT_THAT(catalog().List("shared"), SizeIs(1));  // once
}

TEST_F(CatalogTenantsTest, ATenantsOwnNameComesBeforeTheSharedOne) {
  const AdapterInfo shared = *harness_.Put("shared", "a", 1);
  const AdapterInfo own = *harness_.Put("acme", "a", 2);
  EXPECT_EQ((*catalog().Resolve("acme", "a"))->digest(), own.digest);
  EXPECT_EQ(catalog().Get("acme", "a")->tenant, "acme");
  EXPECT_EQ((*catalog().Resolve("globex", "a"))->digest(), shared.digest);
  ASSERT_TRUE(catalog().Delete("acme", "a", {}).ok());
  EXPECT_EQ((*catalog().Resolve("acme", "a"))->digest(), shared.digest);
}

TEST_F(CatalogTenantsTest, NamesThatDifferInCaseAreTwo) {
  ASSERT_TRUE(harness_.Put("acme", "Model", 1).ok());
  ASSERT_TRUE(harness_.Put("acme", "model", 2).ok());
  ASSERT_TRUE(harness_.Put("Acme", "model", 3).ok());
  Reopen();
  EXPECT_THAT(catalog().List("acme"), SizeIs(2));
  EXPECT_THAT(catalog().List("Acme"), SizeIs(1));
  EXPECT_NE((*catalog().Resolve("acme", "Model"))->digest(),
            (*catalog().Resolve("acme", "model"))->digest());
}

TEST_F(CatalogTenantsTest, AdaptersOfATenantAreBounded) {
  harness_.limits.max_adapters_per_tenant = 2;
  Reopen();
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  ASSERT_TRUE(harness_.Put("acme", "b", 1).ok());
  const absl::Status third = harness_.Put("acme", "c", 1).status();
  EXPECT_EQ(third.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(third), Reason::kQuotaExceeded);
  EXPECT_TRUE(harness_.Put("acme", "b", 2).ok());    // a replacement takes no place
  EXPECT_TRUE(harness_.Put("globex", "c", 1).ok());  // each has its own
  ASSERT_TRUE(catalog().Delete("acme", "a", {}).ok());
  EXPECT_TRUE(harness_.Put("acme", "c", 1).ok());
}

TEST_F(CatalogTenantsTest, PlacesAreTakenByUploadsUnderWay) {
  harness_.limits.max_adapters_per_tenant = 2;
  Reopen();
  auto a = *catalog().BeginUpload(RequestFor("acme", "a", adapter_));
  auto again = *catalog().BeginUpload(RequestFor("acme", "a", adapter_));  // the same name: one
  auto b = *catalog().BeginUpload(RequestFor("acme", "b", adapter_));
  EXPECT_EQ(ReasonOf(catalog().BeginUpload(RequestFor("acme", "c", adapter_)).status()),
            Reason::kQuotaExceeded);
  b.reset();
  EXPECT_TRUE(catalog().BeginUpload(RequestFor("acme", "c", adapter_)).ok());
}

TEST_F(CatalogTenantsTest, BytesOfATenantAreBounded) {
  const uint64_t bytes = adapter_.config.size() + adapter_.tensors.size();
  harness_.limits.max_bytes_per_tenant = 2 * bytes + bytes / 2;
  Reopen();
  ASSERT_TRUE(harness_.Put("acme", "a", 1).ok());
  auto upload = *catalog().BeginUpload(RequestFor("acme", "b", adapter_));
  const absl::Status third = catalog().BeginUpload(RequestFor("acme", "c", adapter_)).status();
  EXPECT_EQ(third.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(third), Reason::kQuotaExceeded);
  EXPECT_TRUE(catalog().BeginUpload(RequestFor("acme", "a", adapter_)).ok());  // in place of a
  EXPECT_TRUE(catalog().BeginUpload(RequestFor("globex", "c", adapter_)).ok());
  upload.reset();
  ASSERT_TRUE(harness_.Put("acme", "b", 1).ok());
  Reopen();  // what is stored counts again
  EXPECT_EQ(ReasonOf(harness_.Put("acme", "c", 1).status()), Reason::kQuotaExceeded);
  ASSERT_TRUE(catalog().Delete("acme", "a", {}).ok());
  EXPECT_TRUE(harness_.Put("acme", "c", 1).ok());
}

TEST_F(CatalogTenantsTest, UploadsAtATimeAreBounded) {
  harness_.limits.max_uploads = 3;
  harness_.limits.max_uploads_per_tenant = 2;
  Reopen();
  auto first = *catalog().BeginUpload(RequestFor("acme", "a", adapter_));
  auto second = *catalog().BeginUpload(RequestFor("acme", "b", adapter_));
  EXPECT_EQ(ReasonOf(catalog().BeginUpload(RequestFor("acme", "c", adapter_)).status()),
            Reason::kTooManyUploads);
  auto third = *catalog().BeginUpload(RequestFor("globex", "a", adapter_));
  const absl::Status fourth = catalog().BeginUpload(RequestFor("initech", "a", adapter_)).status();
  EXPECT_EQ(fourth.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(fourth), Reason::kTooManyUploads);
  first.reset();
  EXPECT_TRUE(catalog().BeginUpload(RequestFor("initech", "a", adapter_)).ok());
  // A refused announcement holds no place.
  UploadRequest bad = RequestFor("acme", "c", adapter_);
  bad.config_sha256 = "x";
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(catalog().BeginUpload(bad).ok());
  bad = RequestFor("acme", "c", adapter_, 9);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(catalog().BeginUpload(bad).ok());
  EXPECT_TRUE(catalog().BeginUpload(RequestFor("acme", "c", adapter_)).ok());
}

}  // namespace
}  // namespace chorus::engine
