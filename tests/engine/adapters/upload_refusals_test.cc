// Every adapter of the table is refused by its reason and by the name of what is wrong with it.
#include <set>

#include "engine/adapters/adapter_image.h"
#include "engine/adapters/peft_reader.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/refusal_cases.h"

namespace chorus::engine {
namespace {

using test::AdapterUpload;
using test::RefusalCase;
using ::testing::HasSubstr;

// What an upload goes through: the reader, then the image of a pool of this type.
absl::Status ReadAndMakeImage(const AdapterUpload& upload, const ModelConfig& model,
                              kernels::DType pool_dtype) {
  const std::unique_ptr<ByteSource> tensors = test::Bytes(upload.tensors);
  const absl::StatusOr<AdapterSpec> spec = ReadPeftAdapter(upload.config, *tensors, model);
  if (!spec.ok()) return spec.status();
  const kernels::PoolView pool{nullptr, 1, 2, 1, 16, pool_dtype};
  return WriteImage(
      *spec, *tensors, {model, Shard{}, pool},
      [](std::span<const std::byte>) { return absl::OkStatus(); }, nullptr);
}

TEST(UploadRefusalsTest, EachIsRefusedByNameAndReason) {
  const ModelConfig model = test::TinyModel();
  for (const RefusalCase& refused : test::AllRefusalCases()) {
    SCOPED_TRACE(refused.name);
    const AdapterUpload upload = refused.make(model);
    const absl::Status status =
        ReadAndMakeImage(upload, model, refused.pool_dtype.value_or(kernels::DType::kF32));
    ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    const std::optional<Refusal> refusal = RefusalOf(status);
    ASSERT_TRUE(refusal.has_value()) << status;
    EXPECT_EQ(ReasonName(refusal->reason), ReasonName(refused.reason)) << status;
    EXPECT_THAT(refusal->object, HasSubstr(refused.object)) << status;
    EXPECT_FALSE(refusal->expected.empty()) << status;
    EXPECT_FALSE(refusal->got.empty()) << status;
    // It goes to logs and terminals: short, and nothing of the client's that is not printable.
    EXPECT_LE(status.message().size(), 1500u);
    for (const unsigned char c : status.message()) ASSERT_TRUE(c >= 0x20 && c != 0x7f) << status;
  }
}

TEST(UploadRefusalsTest, TheAdapterWithoutTheFaultIsAccepted) {
  const ModelConfig model = test::TinyModel();
  for (const auto dtype : {kernels::DType::kF32, kernels::DType::kBf16, kernels::DType::kF16}) {
    const absl::Status status =
        ReadAndMakeImage(test::ToUpload(test::GoodAdapter(model)), model, dtype);
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(UploadRefusalsTest, WhatOverflowsOneTypeFitsF32) {
  const ModelConfig model = test::TinyModel();
  int count = 0;
  for (const RefusalCase& refused : test::AllRefusalCases()) {
    if (!refused.pool_dtype.has_value()) continue;
    ++count;
    const absl::Status status = ReadAndMakeImage(refused.make(model), model, kernels::DType::kF32);
    EXPECT_TRUE(status.ok()) << refused.name << ": " << status;
  }
  EXPECT_GT(count, 0);
}

TEST(UploadRefusalsTest, NamesOfCasesAreUniqueAndFitForFiles) {
  std::set<std::string> names;
  std::set<Reason> reasons;
  for (const RefusalCase& refused : test::AllRefusalCases()) {
    EXPECT_TRUE(names.insert(refused.name).second) << refused.name;
    EXPECT_EQ(refused.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
              std::string::npos)
        << refused.name;
    reasons.insert(refused.reason);
  }
  EXPECT_GE(names.size(), 300u);
  // Every reason for which files are refused; sizes are refused by their announcement.
  for (int reason = 60; reason <= 76; ++reason) {
    if (static_cast<Reason>(reason) == Reason::kAdapterTooLarge) continue;
    EXPECT_TRUE(reasons.contains(static_cast<Reason>(reason)))
        << ReasonName(static_cast<Reason>(reason));
  }
}

}  // namespace
}  // namespace chorus::engine
