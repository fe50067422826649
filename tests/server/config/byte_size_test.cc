#include "server/config/byte_size.h"

#include <limits>

#include "gtest/gtest.h"

namespace chorus::test {
namespace {

using server::FormatByteSize;
using server::ParseByteSize;

TEST(ByteSizeTest, ParsesWhatOperatorsWrite) {
  EXPECT_EQ(ParseByteSize("1GiB"), int64_t{1} << 30);
  EXPECT_EQ(ParseByteSize("512MiB"), int64_t{512} << 20);
  EXPECT_EQ(ParseByteSize("512 MiB"), int64_t{512} << 20);
  EXPECT_EQ(ParseByteSize("1048576"), 1 << 20);
  EXPECT_EQ(ParseByteSize("1.5GB"), 1'500'000'000);
  EXPECT_EQ(ParseByteSize("0.5KiB"), 512);
  EXPECT_EQ(ParseByteSize("3kB"), 3000);
  EXPECT_EQ(ParseByteSize("2TB"), 2'000'000'000'000);
  EXPECT_EQ(ParseByteSize("7B"), 7);
  EXPECT_EQ(ParseByteSize("0"), 0);
  EXPECT_EQ(ParseByteSize("9223372036854775807"), std::numeric_limits<int64_t>::max());
}

TEST(ByteSizeTest, RoundsDownToWholeBytes) {
  EXPECT_EQ(ParseByteSize("1.3GiB"), 1395864371);  // 1395864371.2
  EXPECT_EQ(ParseByteSize("0.9"), 0);
  EXPECT_EQ(ParseByteSize("1.999999999999999999KiB"), 2047);
}

TEST(ByteSizeTest, RefusesEverythingElse) {
  for (const char* text : {"",
                           " ",
                           "GiB",
                           "-1",
                           "+1",
                           "1gib",
                           "1G",
                           "1Gi",
                           "1 GB ",
                           "1  GB",
                           " 1",
                           "1.GB",
                           ".5GB",
                           "1.5.GB",
                           "1,5GB",
                           "1e9",
                           "0x10",
                           "nan",
                           "1GiBB",
                           "9223372036854775808",
                           "8388608TiB",
                           "99999999999999999999999999999999999999999",
                           "1.00000000000000000000GB"}) {
    EXPECT_EQ(ParseByteSize(text), std::nullopt) << text;
  }
}

TEST(ByteSizeTest, FormatsTheShortestExactForm) {
  EXPECT_EQ(FormatByteSize(int64_t{1} << 30), "1GiB");
  EXPECT_EQ(FormatByteSize(int64_t{1536} << 20), "1536MiB");
  EXPECT_EQ(FormatByteSize(1'500'000'000), "1500MB");
  EXPECT_EQ(FormatByteSize(1048577), "1048577");
  EXPECT_EQ(FormatByteSize(0), "0");
  for (int64_t bytes : {int64_t{1}, int64_t{999}, int64_t{1000}, int64_t{1024}, int64_t{65536},
                        int64_t{4} << 30, std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(ParseByteSize(FormatByteSize(bytes)), bytes);
  }
}

}  // namespace
}  // namespace chorus::test
