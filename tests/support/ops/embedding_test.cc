// Embedding on the SIMT executor or a GPU: rows of the table come out bit by bit, in every order.
#include "gtest/gtest.h"
#include "kernels/embedding/embedding_kernel.h"
#include "tests/support/ops/op_case.h"

namespace chorus::test {
namespace {

using namespace kernels;  // NOLINT: this is about them

const Kernel& KernelOf(DType dtype) {
  return dtype == DType::kBf16 ? kEmbeddingBf16 : kEmbeddingF16;
}

// A table of which only the rows of `tokens` are touched.
class EmbeddingRun {
 public:
  EmbeddingRun(DType dtype, int32_t vocabulary, int32_t hidden, std::vector<int32_t> tokens)
      : dtype_(dtype),
        vocabulary_(vocabulary),
        hidden_(hidden),
        tokens_(std::move(tokens)),
        table_(int64_t{vocabulary} * hidden * 2),
        residual_(DenseTensor(DType::kF32, static_cast<int64_t>(tokens_.size()), hidden)) {
    for (const int32_t token : tokens_) {
      for (int32_t i = 0; i < hidden; ++i) {
        StoreElement(dtype, table_.data(), int64_t{token} * hidden + i, Value(token, i));
      }
    }
    memory_.AddBytes("table", table_.data(), table_.bytes(), SimtUse::kReadOnly, 2);
    AddInput(memory_, "tokens", tokens_);
    AddTensor(memory_, "residual", residual_, SimtUse::kWriteOnce);
  }

  std::string RunInEveryOrder(uint32_t seed) {
    const EmbeddingParams params{.tokens = tokens_.data(),
                                 .table = table_.data(),
                                 .residual = static_cast<float*>(residual_.view().data),
                                 .rows = static_cast<int32_t>(tokens_.size()),
                                 .vocabulary = vocabulary_,
                                 .hidden = hidden_};
    for (const SimtOptions& options : EveryOrder(seed)) {
      memory_.PoisonOutputs();
      std::string failure = RunOp(KernelOf(dtype_), params.rows, 0, params, memory_, options);
      if (failure.empty()) failure = WrongNumber();
      if (!failure.empty()) return Name(options) + ": " + failure;
    }
    return "";
  }

 private:
  static float Value(int32_t token, int32_t i) {
    const float magnitude = i % 5 == 0 ? 1e-7f : i % 5 == 1 ? 60000.0f : 1.0f;
    return magnitude * CounterValue(static_cast<uint64_t>(token), static_cast<uint64_t>(i));
  }

  std::string WrongNumber() const {
    for (size_t row = 0; row < tokens_.size(); ++row) {
      for (int32_t i = 0; i < hidden_; ++i) {
        TestTensor want(dtype_, 1, 1);
        want.Set(0, 0, Value(tokens_[row], i));
        const auto r = static_cast<int64_t>(row);
        const std::string failure =
            Near("residual", r, i, residual_.Get(r, i), want.Get(0, 0), 0.0);
        if (!failure.empty()) return failure;
      }
    }
    return "";
  }

  const DType dtype_;
  const int32_t vocabulary_, hidden_;
  const std::vector<int32_t> tokens_;
  const AddressSpace table_;
  TestTensor residual_;
  SimtMemory memory_;
};

class EmbeddingOpTest : public OpTest, public testing::WithParamInterface<DType> {};
INSTANTIATE_TEST_SUITE_P(Device, EmbeddingOpTest, testing::Values(DType::kBf16, DType::kF16),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(EmbeddingOpTest, RowsComeOutExactly) {
  uint32_t seed = 1;
  for (const int32_t hidden : {8, 72, 576, 1024, 1032, 4096}) {
    EXPECT_EQ(EmbeddingRun(GetParam(), 1003, hidden, {0, 1002, 7, 7, 501}).RunInEveryOrder(seed++),
              "")
        << hidden;
    EXPECT_EQ(EmbeddingRun(GetParam(), 3, hidden, {2}).RunInEveryOrder(seed++), "") << hidden;
  }
}

TEST_P(EmbeddingOpTest, ATableOfMoreThanTwoToThe31Elements) {
  if (!Fits(int64_t{5} << 30)) GTEST_SKIP() << "needs 5 GiB";
  EXPECT_EQ(EmbeddingRun(GetParam(), 300'000, 8192, {299'999, 0, 262'144}).RunInEveryOrder(1), "");
}

}  // namespace
}  // namespace chorus::test
