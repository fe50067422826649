// RopeAppendKv on the SIMT executor or a GPU: every size of head, with and without each of its
// inputs, pages near the ends of a large pool, in every order.
#include <cstring>

#include "gtest/gtest.h"
#include "kernels/device/pool_view.h"
#include "kernels/rope/rope_append_kv_kernel.h"
#include "tests/support/ops/op_case.h"

namespace chorus::test {
namespace {

using namespace kernels;  // NOLINT: this is about them

constexpr float kEps = 1e-6f;

struct RopeCase {
  OpTypes types = kOpTypes[0];
  std::vector<int32_t> positions = {0, 17, 999};
  int padding = 0;  // of these rows, the last ones; needs a slab before this one
  int heads = 4;
  int kv_heads = 2;
  int head_dim = 64;
  bool q_norm = false;
  bool k_norm = false;
  bool has_bias = false;
  bool has_delta = false;
  int64_t num_ids = 11;
  int32_t num_slabs = 3;
  int32_t slab = 1;
  uint64_t seed = 1;
};

const Kernel& KernelOf(const OpTypes& types) {
  return KernelOf(
      types, {&kRopeAppendKvF32Bf16, &kRopeAppendKvBf16, &kRopeAppendKvF32F16, &kRopeAppendKvF16,
              &kRopeAppendKvF32Bf16Delta16, &kRopeAppendKvF32F16Delta16});
}

class RopeRun {
 public:
  explicit RopeRun(const RopeCase& c)
      : c_(c),
        rows_(static_cast<int>(c.positions.size())),
        widths_{c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.head_dim},
        qkv_(DenseTensor(c.types.x, rows_, widths_[0] + 2 * widths_[1]).Fill(c.seed, 2.0f)),
        table_(DenseTensor(DType::kF32, rows_, c.head_dim).Fill(c.seed + 1)),
        q_(DenseTensor(c.types.t, rows_, widths_[0])),
        bias_(CounterValues(c.seed + 2, qkv_.cols())),
        q_norm_(CounterValues(c.seed + 3, c.head_dim, 1.5f)),
        k_norm_(CounterValues(c.seed + 4, c.head_dim, 1.5f)),
        delta_(c.types.delta, c.seed + 5, rows_, {kQ, kK, kV}, widths_),
        pool_{nullptr, c.num_ids, c.num_slabs, c.kv_heads, c.head_dim, c.types.t},
        space_(pool_.total_bytes()) {
    pool_.base = space_.data();
    // Ids from both ends; two rows may share a page if their positions differ.
    for (int row = 0; row < rows_; ++row) {
      const int64_t id = IsPadding(row) ? -1 : row % 2 == 0 ? c.num_ids - 1 - row : row;
      pages_.push_back(static_cast<int32_t>(id));
      std::memset(Cell(row), 0xff, static_cast<size_t>(pool_.cell_bytes()));
    }
  }

  // "" or what failed.
  std::string Run(const SimtOptions& options) {
    AddTensor(memory_, "qkv", qkv_, SimtUse::kReadOnly);
    AddTensor(memory_, "cos_sin", table_, SimtUse::kReadOnly);
    AddTensor(memory_, "q", q_, SimtUse::kWriteOnce);
    AddInput(memory_, "bias", bias_);
    AddInput(memory_, "q_norm", q_norm_);
    AddInput(memory_, "k_norm", k_norm_);
    AddInput(memory_, "positions", c_.positions);
    AddInput(memory_, "row_pages", pages_);
    memory_.AddBytes("pool", space_.data(), space_.bytes(), SimtUse::kReadWrite, 4);
    delta_.AddTo(memory_);
    const RopeAppendKvParams params{.qkv = qkv_.view().data,
                                    .bias = c_.has_bias ? bias_.data() : nullptr,
                                    .delta = c_.has_delta ? delta_.params() : LoraDelta{},
                                    .q_norm = c_.q_norm ? q_norm_.data() : nullptr,
                                    .k_norm = c_.k_norm ? k_norm_.data() : nullptr,
                                    .norm_eps = kEps,
                                    .cos_sin = static_cast<const float*>(table_.view().data),
                                    .positions = c_.positions.data(),
                                    .row_pages = pages_.data(),
                                    .q = q_.view().data,
                                    .pool = pool_.base,
                                    .num_ids = c_.num_ids,
                                    .num_slabs = c_.num_slabs,
                                    .slab = c_.slab,
                                    .rows = rows_,
                                    .heads = c_.heads,
                                    .kv_heads = c_.kv_heads,
                                    .head_dim = c_.head_dim};
    const std::string failure =
        RunOp(KernelOf(c_.types), rows_ * RopeAppendKvRowBlocks(c_.heads, c_.kv_heads, c_.head_dim),
              0, params, memory_, options);
    if (!failure.empty()) return failure;
    for (int row = 0; row < rows_; ++row) {
      const std::string wrong = WrongRow(row);
      if (!wrong.empty()) return wrong;
    }
    return "";
  }

  const TestTensor& q() const { return q_; }

 private:
  bool IsPadding(int row) const { return row >= rows_ - c_.padding; }
  // Of a padding row: what a page below 0 would be.
  std::byte* Cell(int row) const {
    return pool_.CellAddress(pool_.CellOf(c_.slab, pages_[static_cast<size_t>(row)]));
  }

  ReferenceSum Input(int row, int column) const {
    ReferenceSum sum;
    sum.Add(qkv_.Get(row, column));
    if (c_.has_bias) sum.Add(bias_[static_cast<size_t>(column)]);
    if (c_.has_delta) sum.Add(delta_.Get(row, column));
    return sum;
  }

  // Element d of a head from `column` on, normed if there is a weight, and rotated.
  ReferenceSum Rotated(int row, int column, bool has_norm, const std::vector<float>& norm,
                       int d) const {
    double squares = 0.0;
    for (int i = 0; i < c_.head_dim; ++i) squares += std::pow(Input(row, column + i).value, 2);
    const double inverse = 1.0 / std::sqrt(squares / c_.head_dim + double{kEps});
    const auto normed = [&](int i) {
      const ReferenceSum input = Input(row, column + i);
      const double factor = has_norm ? inverse * double{norm[static_cast<size_t>(i)]} : 1.0;
      return ReferenceSum{input.value * factor, input.magnitude * std::abs(factor)};
    };
    const int half = c_.head_dim / 2;
    const double cos = table_.Get(row, d % half);
    const double sin = table_.Get(row, half + d % half);
    const ReferenceSum own = normed(d);
    const ReferenceSum other = normed(d < half ? d + half : d - half);
    return {own.value * cos + (d < half ? -1 : 1) * other.value * sin,
            own.magnitude * std::abs(cos) + other.magnitude * std::abs(sin)};
  }

  std::string WrongRow(int row) const {
    const int kv_end = IsPadding(row) ? c_.heads : c_.heads + 2 * c_.kv_heads;
    const int first_v = c_.heads + c_.kv_heads;
    for (int head = 0; head < kv_end; ++head) {
      for (int d = 0; d < c_.head_dim; ++d) {
        const int column = head * c_.head_dim;
        const bool is_q = head < c_.heads;
        const ReferenceSum want = head >= first_v ? Input(row, column + d)
                                  : is_q          ? Rotated(row, column, c_.q_norm, q_norm_, d)
                                                  : Rotated(row, column, c_.k_norm, k_norm_, d);
        const std::string failure =
            Near(is_q ? "q" : "kv", row, column + d,
                 is_q ? q_.Get(row, column + d) : Stored(row, head - c_.heads, d), want.value,
                 SumTolerance(c_.head_dim + 10, want.magnitude) +
                     RoundingTolerance(c_.types.t, want.value));
        if (!failure.empty()) return failure;
      }
    }
    return OtherTokensWritten(row);
  }

  int64_t Element(int row, int head, int d) const {
    return (int64_t{head} * kPageTokens + c_.positions[static_cast<size_t>(row)] % kPageTokens) *
               c_.head_dim +
           d;
  }
  double Stored(int row, int head, int d) const {
    return LoadElement(c_.types.t, Cell(row), Element(row, head, d));
  }
  std::string OtherTokensWritten(int row) const {
    int64_t written = 0;
    for (int64_t i = 0; i < pool_.cell_elements(); ++i) {
      written += std::isnan(LoadElement(c_.types.t, Cell(row), i)) ? 0 : 1;
    }
    const int64_t want = IsPadding(row) ? 0 : int64_t{2} * c_.kv_heads * c_.head_dim;
    return written == want ? "" : absl::StrCat("page of row ", row, " has ", written, " elements");
  }

  const RopeCase& c_;
  const int rows_;
  const std::vector<int> widths_;
  const TestTensor qkv_, table_;
  TestTensor q_;
  const std::vector<float> bias_, q_norm_, k_norm_;
  const TestDelta delta_;
  PoolView pool_;
  const AddressSpace space_;
  std::vector<int32_t> pages_;
  SimtMemory memory_;
};

std::string RunRope(const RopeCase& c, const SimtOptions& options) {
  return RopeRun(c).Run(options);
}

class RopeAppendKvOpTest : public OpTest, public testing::WithParamInterface<OpTypes> {};
INSTANTIATE_TEST_SUITE_P(Device, RopeAppendKvOpTest, testing::ValuesIn(kOpTypes),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(RopeAppendKvOpTest, EveryHeadSizeWithEveryInput) {
  uint32_t seed = 1;
  for (const int head_dim : {8, 16, 24, 40, 64, 80, 96, 128, 136, 256}) {
    for (const int inputs : {0, 1, 2, 4, 8, 15}) {
      RopeCase c{.types = GetParam(),
                 .heads = static_cast<int>(1 + 5 * (seed % 4)),
                 .kv_heads = static_cast<int>(1 + seed % 3),
                 .head_dim = head_dim,
                 .q_norm = (inputs & 1) != 0,
                 .k_norm = (inputs & 2) != 0,
                 .has_bias = (inputs & 4) != 0,
                 .has_delta = (inputs & 8) != 0,
                 .slab = static_cast<int32_t>(seed % 3),
                 .seed = seed};
      if (seed % 4 == 0) c.positions = {15, 16, 31, 1'000'000, 5, 6, 7};
      const std::vector<SimtOptions> orders = EveryOrder(seed);
      const SimtOptions& options = orders[seed % orders.size()];
      EXPECT_EQ(RunRope(c, options), "") << "seed " << seed << ", head_dim " << head_dim
                                         << ", inputs " << inputs << ", " << Name(options);
      ++seed;
    }
  }
}

TEST_P(RopeAppendKvOpTest, PaddingKeepsNoKeysAndValues) {
  for (const int padding : {1, 3}) {
    EXPECT_EQ(RunRope({.types = GetParam(), .padding = padding, .has_delta = true}, {}), "");
  }
}

TEST_P(RopeAppendKvOpTest, PagesNearTheEndOfSixteenGibibytes) {
  if (!Fits(int64_t{17} << 30)) GTEST_SKIP() << "needs 17 GiB";
  // 8 heads of 128 are 64 KiB a cell.
  const RopeCase c{.types = GetParam(),
                   .kv_heads = 8,
                   .head_dim = 128,
                   .num_ids = (int64_t{16} << 30) / 2 / 65536,
                   .num_slabs = 2,
                   .slab = 1};
  EXPECT_EQ(RunRope(c, {}), "");
}

TEST_P(RopeAppendKvOpTest, RowBitsDoNotDependOnTheOtherRows) {
  const RopeCase all_case{.types = GetParam(), .q_norm = true, .k_norm = true};
  RopeRun all(all_case);
  ASSERT_EQ(all.Run({}), "");
  RopeCase one_case = all_case;
  one_case.positions = {0};
  RopeRun one(one_case);
  ASSERT_EQ(one.Run({.order = Order::kReverse}), "");
  EXPECT_TRUE(one.q().RowEquals(0, all.q(), 0));
}

TEST_P(RopeAppendKvOpTest, EverySiteIsMissed) {
  ExpectEverySiteIsMissed(
      [](const SimtOptions& options) {
        return RunRope(
            {.types = GetParam(), .heads = 3, .kv_heads = 1, .head_dim = 24, .q_norm = true},
            options);
      },
      2);
}

}  // namespace
}  // namespace chorus::test
