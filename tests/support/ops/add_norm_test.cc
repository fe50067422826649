// AddNorm on the SIMT executor or a GPU: every width, with and without each of its inputs, in every
// order.
#include "gtest/gtest.h"
#include "kernels/norm/add_norm_kernel.h"
#include "tests/support/ops/op_case.h"

namespace chorus::test {
namespace {

using namespace kernels;  // NOLINT: this is about them

constexpr float kEps = 1e-5f;

struct AddNormCase {
  OpTypes types = kOpTypes[0];
  int rows = 3;
  int hidden = 64;
  bool has_linear = true;
  bool has_bias = false;
  bool has_delta = false;
  std::vector<int32_t> row_list = {};  // empty: all rows
  float scale = 1.0f;
  uint64_t seed = 1;
};

const Kernel& KernelOf(const OpTypes& types) {
  return KernelOf(types, {&kAddNormF32Bf16, &kAddNormBf16, &kAddNormF32F16, &kAddNormF16,
                          &kAddNormF32Bf16Delta16, &kAddNormF32F16Delta16});
}

class AddNormRun {
 public:
  explicit AddNormRun(const AddNormCase& c)
      : c_(c),
        outputs_(c.row_list.empty() ? c.rows : static_cast<int>(c.row_list.size())),
        linear_(DenseTensor(c.types.x, c.rows, c.hidden).Fill(c.seed, c.scale)),
        before_(DenseTensor(DType::kF32, c.rows, c.hidden).Fill(c.seed + 1, 2.0f * c.scale)),
        residual_(before_),
        y_(DenseTensor(c.types.t, outputs_, c.hidden)),
        bias_(CounterValues(c.seed + 2, c.hidden)),
        weight_(CounterValues(c.seed + 3, c.hidden, 1.5f)),
        delta_(c.types.delta, c.seed + 4, c.rows, {kO}, {c.hidden}) {}

  // "" or what failed.
  std::string Run(const SimtOptions& options) {
    AddTensor(memory_, "linear", linear_, SimtUse::kReadOnly);
    AddTensor(memory_, "residual", residual_, SimtUse::kReadWrite);
    AddTensor(memory_, "y", y_, SimtUse::kWriteOnce);
    AddInput(memory_, "bias", bias_);
    AddInput(memory_, "weight", weight_);
    AddInput(memory_, "row_list", c_.row_list);
    delta_.AddTo(memory_);
    const AddNormParams params{.linear = c_.has_linear ? linear_.view().data : nullptr,
                               .bias = c_.has_bias ? bias_.data() : nullptr,
                               .delta = c_.has_delta ? delta_.params() : LoraDelta{},
                               .module = kO,
                               .residual = static_cast<float*>(residual_.view().data),
                               .weight = weight_.data(),
                               .eps = kEps,
                               .row_list = c_.row_list.empty() ? nullptr : c_.row_list.data(),
                               .y = y_.view().data,
                               .rows = c_.rows,
                               .num_outputs = outputs_,
                               .hidden = c_.hidden};
    const std::string failure =
        RunOp(KernelOf(c_.types), outputs_, kAddNormSharedBytes, params, memory_, options);
    return failure.empty() ? WrongNumber() : failure;
  }

  const TestTensor& y() const { return y_; }

 private:
  std::string WrongNumber() const {
    std::vector<bool> touched(static_cast<size_t>(c_.rows), false);
    for (int output = 0; output < outputs_; ++output) {
      const int row = c_.row_list.empty() ? output : c_.row_list[static_cast<size_t>(output)];
      if (row >= 0) touched[static_cast<size_t>(row)] = true;
      const std::string failure = row < 0 ? Untouched(output) : WrongRow(row, output);
      if (!failure.empty()) return failure;
    }
    for (int row = 0; row < c_.rows; ++row) {
      if (!touched[static_cast<size_t>(row)] && !residual_.RowEquals(row, before_, row)) {
        return absl::StrCat("residual row ", row, " was changed");
      }
    }
    return "";
  }

  std::string Untouched(int output) const {
    return std::isnan(y_.Get(output, 0)) ? "" : absl::StrCat("y row ", output, " was written");
  }

  std::string WrongRow(int row, int output) const {
    double squares = 0.0;
    for (int i = 0; i < c_.hidden; ++i) {
      ReferenceSum sum;
      sum.Add(before_.Get(row, i));
      if (c_.has_linear) {
        sum.Add(linear_.Get(row, i));
        if (c_.has_bias) sum.Add(bias_[static_cast<size_t>(i)]);
        if (c_.has_delta) sum.Add(delta_.Get(row, i));
      }
      const double got = residual_.Get(row, i);
      const std::string failure =
          Near("residual", row, i, got, sum.value, SumTolerance(3, sum.magnitude));
      if (!failure.empty()) return failure;
      squares += got * got;
    }
    const double inverse = 1.0 / std::sqrt(squares / c_.hidden + double{kEps});
    // The sum of squares has only positive terms, so its error is relative.
    const double relative = (c_.hidden + 8) * kF32Unit;
    for (int i = 0; i < c_.hidden; ++i) {
      const double want = residual_.Get(row, i) * inverse * double{weight_[static_cast<size_t>(i)]};
      const std::string failure =
          Near("y", output, i, y_.Get(output, i), want,
               relative * std::abs(want) + RoundingTolerance(c_.types.t, want));
      if (!failure.empty()) return failure;
    }
    return "";
  }

  const AddNormCase& c_;
  const int outputs_;
  const TestTensor linear_, before_;
  TestTensor residual_, y_;
  const std::vector<float> bias_, weight_;
  const TestDelta delta_;
  SimtMemory memory_;
};

std::string RunAddNorm(const AddNormCase& c, const SimtOptions& options) {
  return AddNormRun(c).Run(options);
}

class AddNormOpTest : public OpTest, public testing::WithParamInterface<OpTypes> {};
INSTANTIATE_TEST_SUITE_P(Device, AddNormOpTest, testing::ValuesIn(kOpTypes),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(AddNormOpTest, EveryWidthWithEveryInput) {
  uint32_t seed = 1;
  for (const int hidden : {8, 16, 72, 576, 2040, 2048, 2056, 4096, 8192, 8200, 16392}) {
    for (const int inputs : {0, 1, 3, 5, 7}) {
      AddNormCase c{.types = GetParam(),
                    .rows = 1 + static_cast<int>(seed % 7),
                    .hidden = hidden,
                    .has_linear = (inputs & 1) != 0,
                    .has_bias = (inputs & 2) != 0,
                    .has_delta = (inputs & 4) != 0,
                    .scale = seed % 5 == 0 ? 100.0f : 1.0f,
                    .seed = seed};
      if (seed % 3 == 0) c.row_list = {c.rows - 1, -1};
      const std::vector<SimtOptions> orders = EveryOrder(seed);
      const SimtOptions& options = orders[seed % orders.size()];
      EXPECT_EQ(RunAddNorm(c, options), "") << "seed " << seed << ", hidden " << hidden
                                            << ", inputs " << inputs << ", " << Name(options);
      ++seed;
    }
  }
}

TEST_P(AddNormOpTest, RowBitsDoNotDependOnTheOtherRows) {
  AddNormCase c{
      .types = GetParam(), .rows = 6, .hidden = 2056, .has_bias = true, .has_delta = true};
  AddNormRun all(c);
  ASSERT_EQ(all.Run({}), "");
  for (const int32_t row : {0, 2, 5}) {
    AddNormCase listed = c;
    listed.row_list = {-1, row};
    AddNormRun one(listed);
    ASSERT_EQ(one.Run({.order = Order::kRandom, .seed = 9}), "");
    EXPECT_TRUE(one.y().RowEquals(1, all.y(), row)) << row;
  }
}

TEST_P(AddNormOpTest, EverySiteIsMissed) {
  const auto run = [](const SimtOptions& options) {
    for (const AddNormCase& c :
         {AddNormCase{.types = GetParam(), .rows = 2, .hidden = 2056, .has_delta = true},
          AddNormCase{.types = GetParam(), .rows = 1, .hidden = 8200, .has_bias = true}}) {
      const std::string failure = RunAddNorm(c, options);
      if (!failure.empty()) return failure;
    }
    return std::string();
  };
  ExpectEverySiteIsMissed(run, 2);
}

}  // namespace
}  // namespace chorus::test
