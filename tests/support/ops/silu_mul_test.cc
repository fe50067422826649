// SiluMul on the SIMT executor or a GPU: every width, with and without each of its inputs, in every
// order.
#include "gtest/gtest.h"
#include "kernels/activation/silu_mul_kernel.h"
#include "tests/support/ops/op_case.h"

namespace chorus::test {
namespace {

using namespace kernels;  // NOLINT: this is about them

struct SiluMulCase {
  OpTypes types = kOpTypes[0];
  int rows = 3;
  int width = 64;
  bool has_bias = false;
  bool has_delta = false;
  float scale = 1.0f;
  uint64_t seed = 1;
};

const Kernel& KernelOf(const OpTypes& types) {
  return KernelOf(types, {&kSiluMulF32Bf16, &kSiluMulBf16, &kSiluMulF32F16, &kSiluMulF16,
                          &kSiluMulF32Bf16Delta16, &kSiluMulF32F16Delta16});
}

class SiluMulRun {
 public:
  explicit SiluMulRun(const SiluMulCase& c)
      : c_(c),
        gate_up_(DenseTensor(c.types.x, c.rows, 2 * c.width).Fill(c.seed, c.scale)),
        y_(DenseTensor(c.types.t, c.rows, c.width)),
        bias_(CounterValues(c.seed + 1, 2 * c.width)),
        delta_(c.types.delta, c.seed + 2, c.rows, {kGate, kUp}, {c.width, c.width}) {
    // The ends of the types: exp overflows to either side, and a subnormal gate.
    if (c.scale < 100.0f) return;
    const float ends[] = {65504.0f, -65504.0f, 1e-6f, -0.0f};
    for (int i = 0; i < 4; ++i) gate_up_.Set(0, i, ends[i]);
    for (int i = 0; i < 4; ++i) gate_up_.Set(0, c.width + i, 0.5f);
  }

  // "" or what failed.
  std::string Run(const SimtOptions& options) {
    AddTensor(memory_, "gate_up", gate_up_, SimtUse::kReadOnly);
    AddTensor(memory_, "y", y_, SimtUse::kWriteOnce);
    AddInput(memory_, "bias", bias_);
    delta_.AddTo(memory_);
    const SiluMulParams params{.gate_up = gate_up_.view().data,
                               .bias = c_.has_bias ? bias_.data() : nullptr,
                               .delta = c_.has_delta ? delta_.params() : LoraDelta{},
                               .y = y_.view().data,
                               .rows = c_.rows,
                               .width = c_.width};
    const int blocks = c_.rows * SiluMulRowBlocks(c_.width);
    const std::string failure = RunOp(KernelOf(c_.types), blocks, 0, params, memory_, options);
    if (!failure.empty()) return failure;
    for (int row = 0; row < c_.rows; ++row) {
      for (int i = 0; i < c_.width; ++i) {
        const std::string wrong = WrongNumber(row, i);
        if (!wrong.empty()) return wrong;
      }
    }
    return "";
  }

 private:
  ReferenceSum Input(int row, int column) const {
    ReferenceSum sum;
    sum.Add(gate_up_.Get(row, column));
    if (c_.has_bias) sum.Add(bias_[static_cast<size_t>(column)]);
    if (c_.has_delta) sum.Add(delta_.Get(row, column));
    return sum;
  }

  // silu's slope is below 1.1 and |silu(v)| below |v|. Exp, 1 + …, / and · err by a few units;
  // where exp(-gate) is infinite in f32, silu is below 3e-37.
  std::string WrongNumber(int row, int i) const {
    const ReferenceSum gate = Input(row, i);
    const ReferenceSum up = Input(row, c_.width + i);
    const double silu = gate.value / (1.0 + std::exp(-gate.value));
    double want = silu * up.value;
    const double inputs = 1.1 * SumTolerance(2, gate.magnitude) * std::abs(up.value) +
                          std::abs(silu) * SumTolerance(2, up.magnitude);
    const double own = 8 * kF32Unit * std::abs(want) + 3e-37 * std::abs(up.value);
    if (c_.types.t == DType::kF16 && std::abs(want) >= 65520.0)
      want = std::copysign(INFINITY, want);
    return Near("y", row, i, y_.Get(row, i), want,
                inputs + own + RoundingTolerance(c_.types.t, want));
  }

  const SiluMulCase& c_;
  TestTensor gate_up_, y_;
  const std::vector<float> bias_;
  const TestDelta delta_;
  SimtMemory memory_;
};

std::string RunSiluMul(const SiluMulCase& c, const SimtOptions& options) {
  return SiluMulRun(c).Run(options);
}

class SiluMulOpTest : public OpTest, public testing::WithParamInterface<OpTypes> {};
INSTANTIATE_TEST_SUITE_P(Device, SiluMulOpTest, testing::ValuesIn(kOpTypes),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(SiluMulOpTest, EveryWidthWithEveryInput) {
  uint32_t seed = 1;
  for (const int width : {8, 24, 64, 1536, 2040, 2048, 2056, 5504, 11008, 14336}) {
    for (const int inputs : {0, 1, 2, 3}) {
      const SiluMulCase c{.types = GetParam(),
                          .rows = 1 + static_cast<int>(seed % 7),
                          .width = width,
                          .has_bias = (inputs & 1) != 0,
                          .has_delta = (inputs & 2) != 0,
                          .scale = seed % 3 == 0 ? 100.0f : 10.0f,
                          .seed = seed};
      const std::vector<SimtOptions> orders = EveryOrder(seed);
      const SimtOptions& options = orders[seed % orders.size()];
      EXPECT_EQ(RunSiluMul(c, options), "") << "seed " << seed << ", width " << width << ", inputs "
                                            << inputs << ", " << Name(options);
      ++seed;
    }
  }
}

TEST_P(SiluMulOpTest, EverySiteIsMissed) {
  ExpectEverySiteIsMissed(
      [](const SimtOptions& options) {
        return RunSiluMul({.types = GetParam(), .rows = 2, .width = 2056, .has_delta = true},
                          options);
      },
      1);
}

}  // namespace
}  // namespace chorus::test
