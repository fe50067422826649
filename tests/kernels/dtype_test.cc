#include "kernels/device/dtype.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace chorus::kernels {
namespace {

// Between two neighbours of a 16-bit type lies a halfway point, which goes to the even one; a step
// of f32 to either side goes to the nearer one. Steps are taken in f32, where all of this is exact.
template <class T>
void ExpectRoundsToNearestEven(uint16_t largest) {
  for (uint32_t bits = 0; bits < largest; ++bits) {
    const float low = T{static_cast<uint16_t>(bits)}.ToFloat();
    const float high = T{static_cast<uint16_t>(bits + 1)}.ToFloat();
    const float half = static_cast<float>(0.5 * (double{low} + double{high}));
    ASSERT_EQ(T::FromFloat(low).bits, bits);
    ASSERT_EQ(T::FromFloat(-low).bits, bits | 0x8000u);
    if (double{half} != 0.5 * (double{low} + double{high})) continue;  // below the least f32
    ASSERT_EQ(T::FromFloat(half).bits, bits + (bits & 1u)) << bits;
    ASSERT_EQ(T::FromFloat(-half).bits, (bits + (bits & 1u)) | 0x8000u) << bits;
    ASSERT_EQ(T::FromFloat(std::nextafter(half, low)).bits, bits) << bits;
    ASSERT_EQ(T::FromFloat(std::nextafter(half, high)).bits, bits + 1) << bits;
  }
}

TEST(DTypeTest, Bf16RoundsToNearestEven) { ExpectRoundsToNearestEven<Bf16>(0x7f7f); }
TEST(DTypeTest, F16RoundsToNearestEvenAlsoBelowItsNormalNumbers) {
  ExpectRoundsToNearestEven<F16>(0x7bff);
}

TEST(DTypeTest, F16KeepsNansAndGoesToInfinityFrom65520) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(F16::FromFloat(std::nextafter(65520.0f, 0.0f)).bits, 0x7bff);
  EXPECT_EQ(F16::FromFloat(65520.0f).bits, 0x7c00);
  EXPECT_EQ(F16::FromFloat(-infinity).bits, 0xfc00);
  for (const uint32_t bits : {0x7f800001u, 0x7fc00000u, 0xffffffffu, 0xff800001u}) {
    const F16 half = F16::FromFloat(std::bit_cast<float>(bits));
    EXPECT_TRUE(std::isnan(half.ToFloat())) << bits;
    EXPECT_EQ(half.bits >> 15, bits >> 31);
  }
}

}  // namespace
}  // namespace chorus::kernels
