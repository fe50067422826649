// What of the device's Linear needs no device: row buckets and the file of measured choices.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/linear/linear_choices.h"
#include "kernels/linear/row_buckets.h"
#include "tests/support/counter_hash.h"
#include "tests/support/temp_dir.h"

namespace chorus::kernels {
namespace {

TEST(RowBucketsTest, AreTheSmallestOfTheListThatHold) {
  EXPECT_THAT(DecodeRowBuckets(200), testing::ElementsAre(1, 2, 4, 8, 16, 32, 64, 128, 192, 256));
  EXPECT_THAT(PrefillRowBuckets(1100),
              testing::ElementsAre(64, 128, 192, 256, 320, 384, 448, 512, 768, 1024, 1280));
  for (const bool decode : {true, false}) {
    const std::vector<int32_t> buckets = decode ? DecodeRowBuckets(5000) : PrefillRowBuckets(5000);
    for (int32_t rows = 1; rows <= 5000; ++rows) {
      const int32_t want = *std::lower_bound(buckets.begin(), buckets.end(), rows);
      ASSERT_EQ(decode ? DecodeRowBucket(rows) : PrefillRowBucket(rows), want) << rows;
      // A bucket is its own.
      ASSERT_EQ(decode ? DecodeRowBucket(want) : PrefillRowBucket(want), want);
    }
  }
}

LinearChoice Choice(uint64_t seed) {
  LinearChoice choice;
  for (size_t i = 0; i < choice.algorithm.size(); ++i) {
    choice.algorithm[i] = test::CounterHash(seed, i) >> (8 * (i % 8));
  }
  choice.us = 1.5 * static_cast<double>(seed);
  choice.workspace_bytes = static_cast<int64_t>(seed << 20);
  return choice;
}

void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

TEST(LinearChoicesTest, ComeBackFromTheFile) {
  const test::TempDir dir;
  const std::string path = dir.path() + "/choices";
  LinearChoices saved;
  for (uint64_t i = 0; i < 20; ++i) saved.Set("GPU, shape " + std::to_string(i), Choice(i));
  ASSERT_TRUE(saved.Save(path).ok());
  ASSERT_TRUE(saved.Save(path).ok());  // over itself
  LinearChoices loaded;
  loaded.Set("another", Choice(99));
  loaded.Set("GPU, shape 3", Choice(99));
  ASSERT_TRUE(loaded.Load(path).ok());
  EXPECT_EQ(loaded.size(), 21u);
  for (uint64_t i = 0; i < 20; ++i) {
    const LinearChoice* const found = loaded.Find("GPU, shape " + std::to_string(i));
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->algorithm, Choice(i).algorithm);
    EXPECT_EQ(found->us, Choice(i).us);
    EXPECT_EQ(found->workspace_bytes, Choice(i).workspace_bytes);
  }
  EXPECT_EQ(loaded.Find("GPU, shape"), nullptr);
}

TEST(LinearChoicesTest, MissingFileIsEmptyAndAnUnwritableOneIsSaid) {
  const test::TempDir dir;
  LinearChoices choices;
  EXPECT_TRUE(choices.Load(dir.path() + "/none").ok());
  EXPECT_EQ(choices.size(), 0u);
  const absl::Status status = choices.Save(dir.path() + "/no/folder");
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("/no/folder"));
}

// Cut off or changed anywhere, a file gives what it gave, or nothing and a Status: never a choice
// under a wrong key.
TEST(LinearChoicesTest, TornFileAddsNothing) {
  const test::TempDir dir;
  const std::string path = dir.path() + "/choices";
  LinearChoices saved;
  saved.Set("first", Choice(1));
  saved.Set("second", Choice(2));
  ASSERT_TRUE(saved.Save(path).ok());
  std::ifstream file(path);
  const std::string whole((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::set<size_t> sound = {whole.size(),
                                  whole.size() - 1,  // without the last line end
                                  whole.find('\n'),
                                  whole.find('\n') + 1,
                                  whole.find('\n', whole.find("first")),
                                  whole.find('\n', whole.find("first")) + 1};
  for (size_t length = 0; length <= whole.size(); ++length) {
    Write(path, whole.substr(0, length));
    LinearChoices choices;
    const absl::Status status = choices.Load(path);
    EXPECT_EQ(status.ok(), sound.count(length) != 0) << length << ": " << status;
    if (!status.ok()) {
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
      EXPECT_EQ(choices.size(), 0u);
    }
  }
  Write(path, "chorus linear choices 2\n");
  LinearChoices choices;
  EXPECT_EQ(choices.Load(path).message(), path + ": line 1 is not a choice of GEMMs");
}

}  // namespace
}  // namespace chorus::kernels
