// An upload's announcement and its bytes: what is refused early, what late, and that a refusal
// leaves nothing behind and nothing broken.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/catalog_harness.h"

namespace chorus::engine {
namespace {

using test::CatalogHarness;
using test::ReasonOf;
using test::RequestFor;
using test::SmallAdapter;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CatalogUploadTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(harness_.Open().ok()); }
  void TearDown() override {
    harness_.Settle();
    EXPECT_THAT(harness_.Paths("staging/"), IsEmpty());
  }

  StoredCatalog& catalog() { return harness_.catalog(); }
  UploadRequest Request() const { return RequestFor("acme", "a", adapter_); }
  void ExpectRefused(const UploadRequest& request, Reason reason, const std::string& object) {
    const auto upload = catalog().BeginUpload(request);
    EXPECT_EQ(upload.status().code(), absl::StatusCode::kInvalidArgument) << upload.status();
    const std::optional<Refusal> refusal = RefusalOf(upload.status());
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->reason, reason) << upload.status();
    EXPECT_THAT(refusal->object, HasSubstr(object));
  }
  // Nothing of it is there, and the right upload goes through.
  void ExpectNothingLeft() {
    harness_.Settle();
    EXPECT_THAT(harness_.Paths("objects/"), IsEmpty());
    EXPECT_THAT(harness_.Paths("images/"), IsEmpty());
    EXPECT_THAT(harness_.Paths("manifests/"), IsEmpty());
    EXPECT_EQ(catalog().Get("acme", "a").status().code(), absl::StatusCode::kNotFound);
    const auto right = test::Send(catalog(), Request(), adapter_);
    ASSERT_TRUE(right.ok()) << right.status();
    EXPECT_EQ(right->version, 1);
  }

  const SmallAdapter adapter_ = SmallAdapter::Make(1);
  CatalogHarness harness_;
};

TEST_F(CatalogUploadTest, NamesFollowTheGrammar) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".a"), std::string("-a"),
        std::string("_a"), std::string("a/b"), std::string("../a"), std::string("a b"),
        std::string("a\n"), std::string("a\0b", 3), std::string("\xc3\xa9"), std::string("a@1"),
        std::string("sha256:0"), std::string("a+b"), std::string(129, 'a')}) {
    UploadRequest request = Request();
    request.name = name;
    ExpectRefused(request, Reason::kNameInvalid, "adapter name");
    request = Request();
    request.tenant = name;
    ExpectRefused(request, Reason::kNameInvalid, "tenant");
  }
  UploadRequest reserved = Request();
  reserved.name = "default";
  ExpectRefused(reserved, Reason::kNameInvalid, "adapter name");
  for (const std::string& name :
       {std::string("a"), std::string("0"), std::string(128, 'Z'), std::string("A.b-c_D")}) {
    UploadRequest request = Request();
    request.name = name;
    EXPECT_TRUE(test::Send(catalog(), request, adapter_).ok()) << name;
  }
}

TEST_F(CatalogUploadTest, SizesAreRefusedByTheirAnnouncement) {
  UploadRequest request = Request();
  request.config_bytes = 0;
  ExpectRefused(request, Reason::kAdapterTooLarge, "config");
  request.config_bytes = harness_.limits.max_config_bytes + 1;
  ExpectRefused(request, Reason::kAdapterTooLarge, "config");
  request = Request();
  request.tensor_bytes = 0;
  ExpectRefused(request, Reason::kAdapterTooLarge, "tensors");
  for (const uint64_t bytes : {harness_.limits.max_tensor_bytes + 1, UINT64_MAX}) {
    request.tensor_bytes = bytes;
    ExpectRefused(request, Reason::kAdapterTooLarge, "tensors");
  }
}

TEST_F(CatalogUploadTest, HashesAreRefusedWhenTheyAreNone) {
  for (const std::string& hash :
       {std::string("x"), std::string(63, '0'), std::string(64, 'A'), std::string(65, '0')}) {
    UploadRequest request = Request();
    request.config_sha256 = hash;
    ExpectRefused(request, Reason::kDigestMismatch, "config_sha256");
    request = Request();
    request.tensor_sha256 = hash;
    ExpectRefused(request, Reason::kDigestMismatch, "tensor_sha256");
  }
  UploadRequest request = Request();
  request.if_version = -1;
  ExpectRefused(request, Reason::kValueOutOfRange, "if_version");
}

TEST_F(CatalogUploadTest, FileHashesAreChecked) {
  for (const bool of_config : {true, false}) {
    UploadRequest request = Request();
    (of_config ? request.config_sha256 : request.tensor_sha256) = Sha256Hex("something else");
    const auto sent = test::Send(catalog(), request, adapter_);
    EXPECT_EQ(ReasonOf(sent.status()), Reason::kDigestMismatch);
    EXPECT_THAT(RefusalOf(sent.status())->object, HasSubstr(of_config ? "config" : "tensors"));
    EXPECT_THAT(RefusalOf(sent.status())->expected, HasSubstr(Sha256Hex("something else")));
  }
  UploadRequest request = Request();
  request.config_sha256 = Sha256Hex(adapter_.config);
  request.tensor_sha256 = Sha256Hex(adapter_.tensors);
  EXPECT_TRUE(test::Send(catalog(), request, adapter_).ok());
}

TEST_F(CatalogUploadTest, TheAdapterDigestIsChecked) {
  UploadRequest request = Request();
  request.digest = AdapterDigest{};
  EXPECT_EQ(ReasonOf(test::Send(catalog(), request, adapter_).status()), Reason::kDigestMismatch);
  ExpectNothingLeft();
  request.digest = catalog().Get("acme", "a")->digest;
  EXPECT_TRUE(test::Send(catalog(), request, adapter_).ok());
}

TEST_F(CatalogUploadTest, OneByteMoreIsRefused) {
  for (const bool of_config : {true, false}) {
    auto upload = *catalog().BeginUpload(Request());
    ASSERT_TRUE(upload->AppendConfig(adapter_.config).ok());
    absl::Status more = of_config ? upload->AppendConfig("x") : absl::OkStatus();
    if (!of_config) {
      ASSERT_TRUE(upload->AppendTensors(adapter_.tensors).ok());
      more = upload->AppendTensors("x");
    }
    EXPECT_EQ(more.code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ(ReasonOf(more), Reason::kSizeMismatch);
    // It stays refused, whatever comes.
    EXPECT_FALSE(upload->AppendTensors("").ok());
    EXPECT_FALSE(upload->Commit().ok());
  }
}

TEST_F(CatalogUploadTest, OneByteLessIsRefused) {
  auto upload = *catalog().BeginUpload(Request());
  ASSERT_TRUE(upload->AppendConfig(adapter_.config).ok());
  ASSERT_TRUE(upload->AppendTensors(adapter_.tensors.substr(1)).ok());
  const absl::Status status = upload->Commit().status();
  EXPECT_EQ(ReasonOf(status), Reason::kSizeMismatch);
  upload.reset();
  ExpectNothingLeft();
}

TEST_F(CatalogUploadTest, ConfigComesFirstAndWhole) {
  auto early = *catalog().BeginUpload(Request());
  EXPECT_EQ(ReasonOf(early->AppendTensors("x")), Reason::kUploadOutOfOrder);
  auto partly = *catalog().BeginUpload(Request());
  ASSERT_TRUE(partly->AppendConfig(adapter_.config.substr(1)).ok());
  EXPECT_EQ(ReasonOf(partly->AppendTensors("x")), Reason::kUploadOutOfOrder);
  auto late = *catalog().BeginUpload(Request());
  ASSERT_TRUE(late->AppendConfig(adapter_.config).ok());
  ASSERT_TRUE(late->AppendTensors("x").ok());
  EXPECT_EQ(ReasonOf(late->AppendConfig("")), Reason::kUploadOutOfOrder);
  EXPECT_EQ(ReasonOf(late->Commit().status()), Reason::kUploadOutOfOrder);
}

TEST_F(CatalogUploadTest, ARefusedAdapterLeavesNothing) {
  SmallAdapter bad = adapter_;
  bad.config.replace(bad.config.find("LORA"), 4, "LOHA");
  const auto sent = test::Send(catalog(), RequestFor("acme", "a", bad), bad);
  EXPECT_EQ(ReasonOf(sent.status()), Reason::kAdapterUnsupportedKind);
  ExpectNothingLeft();
}

TEST_F(CatalogUploadTest, AnUploadThatIsDroppedLeavesNothing) {
  auto upload = *catalog().BeginUpload(Request());
  ASSERT_TRUE(upload->AppendConfig(adapter_.config).ok());
  ASSERT_TRUE(upload->AppendTensors(adapter_.tensors).ok());
  EXPECT_EQ(harness_.Paths("staging/").size(), 1u);
  upload.reset();
  ExpectNothingLeft();
}

TEST_F(CatalogUploadTest, ASecondCommitIsRefused) {
  auto upload = *catalog().BeginUpload(Request());
  ASSERT_TRUE(upload->AppendConfig(adapter_.config).ok());
  ASSERT_TRUE(upload->AppendTensors(adapter_.tensors).ok());
  ASSERT_TRUE(upload->Commit().ok());
  EXPECT_EQ(upload->Commit().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(upload->AppendTensors("x").code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CatalogUploadTest, AFullDiskIsAnAnswerAndNoLatch) {
  const auto calls = [&](int64_t call) {
    harness_.disk().FailCall(call, test::Fault::kNoSpace);
    return test::Send(catalog(), Request(), adapter_).status();
  };
  for (const int64_t call : {1, 3, 5}) {  // fallocate, and two writes
    const absl::Status status = calls(call);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(ReasonOf(status), Reason::kStoreFull) << status;
    EXPECT_TRUE(catalog().Writable().ok());
  }
  harness_.disk().FailCall(-1, test::Fault::kNoSpace);
  ExpectNothingLeft();
}

}  // namespace
}  // namespace chorus::engine
