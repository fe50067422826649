// The matrix instructions of the executor against products in double, and its 16-bit conversions.
// Where an element lies is written here as the PTX manual writes it, register element by element
// ("Matrix Fragments for mma.m16n8k16 with floating point type", "… mma.m16n8k8").
#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "kernels/device/arch.h"
#include "tests/simt/simt_launch.h"
#include "tests/support/counter_hash.h"

namespace chorus::kernels {
namespace {

using test::CounterHash;
using test::CounterValue;

struct MmaParams {
  const uint32_t* a;  // [32, 4] registers of the lanes; of m16n8k8 two each are used
  const uint32_t* b;  // [32, 2]; of m16n8k8 one
  const float* c;     // [32, 4]
  float* d;           // [32, 4]
};

template <class T, int K, class Arch>
CHORUS_DEVICE void MmaBody(Arch& arch, const MmaParams& params) {
  const int lane = arch.Lane();
  const auto a = arch.Global(params.a, 32 * 4), b = arch.Global(params.b, 32 * 2);
  F4 c;
  arch.Global(params.c, 32 * 4).LoadTo(c, lane * 4);
  float d[4] = {c.x, c.y, c.z, c.w};
  if constexpr (K == 16) {
    arch.Mma16816(T{}, d, a.Load(lane * 4), a.Load(lane * 4 + 1), a.Load(lane * 4 + 2),
                  a.Load(lane * 4 + 3), b.Load(lane * 2), b.Load(lane * 2 + 1));
  } else {
    arch.Mma1688(T{}, d, a.Load(lane * 4), a.Load(lane * 4 + 1), b.Load(lane * 2));
  }
  arch.Global(params.d, 32 * 4).StoreFrom(F4{d[0], d[1], d[2], d[3]}, lane * 4);
}
CHORUS_KERNEL(kMmaBf16K16, MmaParams, 32, 1, MmaBody<Bf16, 16>(arch, params))
CHORUS_KERNEL(kMmaBf16K8, MmaParams, 32, 1, MmaBody<Bf16, 8>(arch, params))
CHORUS_KERNEL(kMmaF16K16, MmaParams, 32, 1, MmaBody<F16, 16>(arch, params))
CHORUS_KERNEL(kMmaF16K8, MmaParams, 32, 1, MmaBody<F16, 8>(arch, params))

template <class T, int K>
const Kernel& MmaKernel() {
  if constexpr (std::is_same_v<T, Bf16>) return K == 16 ? kMmaBf16K16 : kMmaBf16K8;
  return K == 16 ? kMmaF16K16 : kMmaF16K8;
}

template <class T, int K>
struct Matrices {
  T a[16][K];
  T b[K][8];
  float c[16][8];
  float d[16][8];

  // Fills d.
  std::string Multiply(const SimtOptions& options = {}) {
    uint32_t a_registers[32][4] = {}, b_registers[32][2] = {};
    alignas(16) float c_registers[32][4], d_registers[32][4];
    for (int lane = 0; lane < 32; ++lane) {
      const int group = lane >> 2, in_group = lane % 4;
      for (int i = 0; i < K / 2; ++i) {
        const int row = i % 4 < 2 ? group : group + 8;
        const int column = in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
        a_registers[lane][i / 2] |= uint32_t{a[row][column].bits} << (i % 2 * 16);
      }
      for (int i = 0; i < K / 4; ++i) {
        const int row = in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0);
        b_registers[lane][i / 2] |= uint32_t{b[row][group].bits} << (i % 2 * 16);
      }
      for (int i = 0; i < 4; ++i) {
        c_registers[lane][i] = c[i < 2 ? group : group + 8][in_group * 2 + (i & 1)];
      }
    }
    SimtMemory memory;
    memory.Add("a", &a_registers[0][0], 32 * 4, SimtUse::kReadOnly);
    memory.Add("b", &b_registers[0][0], 32 * 2, SimtUse::kReadOnly);
    memory.Add("c", &c_registers[0][0], 32 * 4, SimtUse::kReadOnly);
    memory.Add("d", &d_registers[0][0], 32 * 4, SimtUse::kWriteOnce);
    memory.PoisonOutputs();
    const MmaParams params{&a_registers[0][0], &b_registers[0][0], &c_registers[0][0],
                           &d_registers[0][0]};
    const SimtReport report = RunSimt(MmaKernel<T, K>(), 1, 0, &params, memory, options);
    EXPECT_EQ(report.mmas, 1);
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 4; ++i) {
        const int group = lane >> 2;
        d[i < 2 ? group : group + 8][lane % 4 * 2 + (i & 1)] = d_registers[lane][i];
      }
    }
    return report.failure;
  }

  void Fill(uint64_t seed, float scale) {
    for (int k = 0; k < K; ++k) {
      for (int i = 0; i < 16; ++i) a[i][k] = T::FromFloat(scale * CounterValue(seed, i * K + k));
      for (int j = 0; j < 8; ++j) b[k][j] = T::FromFloat(CounterValue(seed + 1, k * 8 + j));
    }
    for (int i = 0; i < 128; ++i) c[i / 8][i % 8] = scale * CounterValue(seed + 2, i);
  }

  // K additions, each wrong by up to 2^-23 of what is summed when it is cut off.
  void ExpectProduct() const {
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 8; ++j) {
        double sum = c[i][j], magnitude = std::abs(sum);
        for (int k = 0; k < K; ++k) {
          const double product = double{a[i][k].ToFloat()} * double{b[k][j].ToFloat()};
          sum += product;
          magnitude += std::abs(product);
        }
        ASSERT_NEAR(d[i][j], sum, K * 0x1p-23 * magnitude) << i << ", " << j;
      }
    }
  }
};

template <class Shape>
class MmaTest : public ::testing::Test {};
template <class T, int kDepth>
struct Shape {
  using Type = T;
  static constexpr int kK = kDepth;
};
using Shapes = ::testing::Types<Shape<Bf16, 16>, Shape<Bf16, 8>, Shape<F16, 16>, Shape<F16, 8>>;
TYPED_TEST_SUITE(MmaTest, Shapes);

TYPED_TEST(MmaTest, IsTheProduct) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Matrices<typename TypeParam::Type, TypeParam::kK> m;
    for (const float scale : {1.0f, 1e-6f, 60000.0f}) {  // 1e-6: subnormal in f16
      m.Fill(seed, scale);
      for (const SimtOptions& options : EveryOrder(static_cast<uint32_t>(seed))) {
        ASSERT_EQ(m.Multiply(options), "");
        m.ExpectProduct();
      }
    }
  }
}

// One product at a time is exact, and lands in one place only.
TYPED_TEST(MmaTest, HasEveryElementInItsPlace) {
  using T = typename TypeParam::Type;
  constexpr int kK = TypeParam::kK;
  for (int i = 0; i < 16; ++i) {
    for (int k = 0; k < kK; ++k) {
      const int j = (i + 3 * k) % 8;
      Matrices<T, kK> m{};
      m.a[i][k] = T::FromFloat(3.0f);
      m.b[k][j] = T::FromFloat(-0.5f);
      m.c[i][j] = 8.0f;
      ASSERT_EQ(m.Multiply(), "");
      for (int at = 0; at < 128; ++at) {
        ASSERT_EQ(m.d[at / 8][at % 8], at == i * 8 + j ? 6.5f : 0.0f) << i << ", " << k;
      }
    }
  }
}

TYPED_TEST(MmaTest, CutsSumsOffTowardZero) {
  using T = typename TypeParam::Type;
  Matrices<T, TypeParam::kK> m{};
  m.a[2][1] = T::FromFloat(0x1p-12f);
  m.a[3][1] = T::FromFloat(-0x1p-12f);
  m.b[1][4] = T::FromFloat(0x1.8p-12f);  // 1.5 · 2^-24, nearer to the next of 1 than to 1
  m.c[2][4] = 1.0f;
  m.c[3][4] = -1.0f;
  ASSERT_EQ(m.Multiply(), "");
  EXPECT_EQ(m.d[2][4], 1.0f + 0x1p-23f);
  EXPECT_EQ(m.d[3][4], -1.0f - 0x1p-23f);
  ASSERT_EQ(m.Multiply({.toward_zero = true}), "");
  EXPECT_EQ(m.d[2][4], 1.0f);
  EXPECT_EQ(m.d[3][4], -1.0f);
}

TYPED_TEST(MmaTest, CarriesTheLargestInfinitiesAndNans) {
  using T = typename TypeParam::Type;
  const float infinity = std::numeric_limits<float>::infinity();
  const float largest = std::is_same_v<T, F16> ? 65504.0f : 0x1.fep127f;
  for (const bool toward_zero : {false, true}) {
    Matrices<T, TypeParam::kK> m{};
    m.a[0][0] = T::FromFloat(largest);
    m.a[1][0] = T::FromFloat(infinity);
    m.a[2][0] = T::FromFloat(-infinity);
    m.a[3][0] = T::FromFloat(std::nanf(""));
    m.b[0][0] = T::FromFloat(1.0f);
    ASSERT_EQ(m.Multiply({.toward_zero = toward_zero}), "");
    EXPECT_EQ(m.d[0][0], largest);
    EXPECT_EQ(m.d[1][0], infinity);
    EXPECT_EQ(m.d[2][0], -infinity);
    EXPECT_TRUE(std::isnan(m.d[3][0]));
    EXPECT_TRUE(std::isnan(m.d[1][1]));  // infinity times zero
    EXPECT_EQ(m.d[4][0], 0.0f);
  }
}

struct PackParams {
  const float* in;   // [64]
  uint32_t* packed;  // [32]
  float* out;        // [64]
};

template <class T, class Arch>
CHORUS_DEVICE void PackBody(Arch& arch, const PackParams& params) {
  F2 pair;
  arch.Global(params.in, 64).LoadTo(pair, arch.Lane() * 2);
  const uint32_t packed = arch.Pack(T{}, pair.x, pair.y);
  arch.Global(params.packed, 32).Store(arch.Lane(), packed);
  arch.Global(params.out, 64).StoreFrom(arch.Unpack(T{}, packed), arch.Lane() * 2);
}
CHORUS_KERNEL(kPackBf16, PackParams, 32, 1, PackBody<Bf16>(arch, params))
CHORUS_KERNEL(kPackF16, PackParams, 32, 1, PackBody<F16>(arch, params))

template <class T>
void ExpectPacked(const Kernel& kernel) {
  alignas(8) float in[64], out[64];
  uint32_t packed[32];
  for (uint64_t i = 0; i < 64; ++i) {  // every magnitude
    in[i] = std::bit_cast<float>(static_cast<uint32_t>(CounterHash(11, i)));
  }
  in[0] = std::bit_cast<float>(0xffc12345u);  // a GPU knows one NaN
  SimtMemory memory;
  memory.Add("in", in, 64, SimtUse::kReadOnly);
  memory.Add("packed", packed, 32, SimtUse::kWriteOnce);
  memory.Add("out", out, 64, SimtUse::kWriteOnce);
  const PackParams params{in, packed, out};
  ASSERT_EQ(RunSimt(kernel, 1, 0, &params, memory).failure, "");
  for (int i = 0; i < 64; ++i) {
    const auto half = static_cast<uint16_t>(packed[i / 2] >> (i % 2 * 16));
    EXPECT_EQ(half, std::isnan(in[i]) ? 0x7fff : T::FromFloat(in[i]).bits) << in[i];
    EXPECT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(T{half}.ToFloat()));
  }
}

TEST(PackTest, RoundsAsTheHostDoes) {
  ExpectPacked<Bf16>(kPackBf16);
  ExpectPacked<F16>(kPackF16);
}

}  // namespace
}  // namespace chorus::kernels
