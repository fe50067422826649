// Linear on a GPU, by cuBLASLt, against the double-precision oracle.
#include <cstring>
#include <fstream>

#include "kernels/linear/linear_cuda.h"
#include "tests/gpu/gpu_test.h"
#include "tests/support/linear_case.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {
namespace {

using kernels::DeviceLinearArgs;
using kernels::DeviceLinearShape;
using kernels::DType;
using kernels::LinearPlanner;

DeviceLinearShape Shape(DType dtype, DType y_dtype, int32_t rows, int32_t outputs, int32_t inputs) {
  return {.dtype = dtype,
          .y_dtype = y_dtype,
          .rows = rows,
          .outputs = outputs,
          .inputs = inputs,
          .x_stride = inputs,
          .y_stride = outputs};
}

class LinearGpuTest : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    workspace_ = Poisoned<std::byte>(kernels::kLinearWorkspaceBytes);
    planner_ = NewPlanner("");
  }

  std::unique_ptr<LinearPlanner> NewPlanner(const std::string& path) {
    auto planner = LinearPlanner::Create(&device(), path);
    if (!planner.ok()) kernels::CheckFailed(__FILE__, __LINE__, planner.status().ToString());
    return *std::move(planner);
  }

  DeviceLinearArgs OnDevice(const LinearCase& linear) {
    const auto upload = [&](const void* from, int64_t bytes) {
      return Upload(static_cast<const std::byte*>(from), bytes);
    };
    DeviceLinearArgs args = linear.Args();
    args.x = upload(args.x, linear.x_bytes());
    args.weight = upload(args.weight, linear.weight_bytes());
    if (args.bias != nullptr) args.bias = upload(args.bias, linear.bias_bytes());
    args.y = upload(args.y, linear.y_bytes());
    return args;
  }

  // Plans with arguments of its own, which it may overwrite, and runs the case.
  std::string RunAndCompare(const LinearCase& linear, int64_t step) {
    const DeviceLinearArgs sample = OnDevice(linear);
    const auto number = planner_->Plan(linear.shape(), {&sample, 1}, workspace_, &stream());
    if (!number.ok()) return number.status().ToString();
    const DeviceLinearArgs args = OnDevice(linear);
    const absl::Status status = planner_->Run(*number, args, workspace_, &stream());
    if (!status.ok()) return status.ToString();
    Download(linear.Args().y, args.y, linear.y_bytes());
    return linear.Difference(SumSteps::kTensorCore, step);
  }

  std::unique_ptr<LinearPlanner> planner_;
  std::byte* workspace_ = nullptr;
};

TEST_F(LinearGpuTest, MatchesTheReference) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    for (const DType y_dtype : {DType::kF32, dtype}) {
      for (const auto& [outputs, inputs] : std::vector<std::pair<int32_t, int32_t>>{
               {960, 576}, {576, 1536}, {2048, 4096}, {1000, 11008}}) {
        for (const int32_t rows : {1, 2, 16, 64, 192}) {
          const LinearCase linear(Shape(dtype, y_dtype, rows, outputs, inputs), 1);
          EXPECT_EQ(RunAndCompare(linear, 1 + int64_t{outputs} * rows / 5000), "");
        }
      }
    }
  }
}

TEST_F(LinearGpuTest, RowsMayLieApart) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    DeviceLinearShape shape = Shape(dtype, DType::kF32, 24, 200, 576);
    shape.x_stride = 1000;
    shape.y_stride = 264;
    EXPECT_EQ(RunAndCompare(LinearCase(shape, 2), 1), "");
  }
}

// As beside LoRA: fewer multiprocessors than there are.
TEST_F(LinearGpuTest, MayCountOnFewMultiprocessors) {
  for (const int32_t multiprocessors : {1, 100}) {
    DeviceLinearShape shape = Shape(DType::kBf16, DType::kF32, 16, 2048, 4096);
    shape.multiprocessors = multiprocessors;
    EXPECT_EQ(RunAndCompare(LinearCase(shape, 6), 7), "");
  }
}

// Free where the library has it; where it has not, Plan says so and its caller adds the bias.
TEST_F(LinearGpuTest, BiasIsAddedOrRefused) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    for (const DType y_dtype : {DType::kF32, dtype}) {
      DeviceLinearShape shape = Shape(dtype, y_dtype, 16, 1152, 896);
      shape.bias = true;
      const std::string difference = RunAndCompare(LinearCase(shape, 3), 3);
      if (difference.find("UNIMPLEMENTED") != std::string::npos) {
        GTEST_LOG_(INFO) << difference;
        continue;
      }
      EXPECT_EQ(difference, "");
    }
  }
}

TEST_F(LinearGpuTest, RowBitsDoNotDependOnTheOtherRows) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    const DeviceLinearShape shape = Shape(dtype, DType::kF32, 16, 1024, 4096);
    const LinearCase linear(shape, 4);
    ASSERT_EQ(RunAndCompare(linear, 7), "");
    const auto* const y = static_cast<const float*>(linear.Args().y);
    const std::vector<float> before(y, y + 16 * 1024);
    // All rows but the fifth become something else, NaN among it.
    const LinearCase other(shape, 4);
    auto* const x = static_cast<uint16_t*>(const_cast<void*>(other.Args().x));
    for (int64_t i = 0; i < 16 * 4096; ++i) {
      if (i / 4096 != 5) x[i] = static_cast<uint16_t>(CounterHash(5, static_cast<uint64_t>(i)));
    }
    const DeviceLinearArgs args = OnDevice(other);
    const auto number = planner_->Plan(shape, {&args, 1}, workspace_, &stream());
    ASSERT_TRUE(number.ok()) << number.status();
    ASSERT_TRUE(planner_->Run(*number, args, workspace_, &stream()).ok());
    Download(other.Args().y, args.y, other.y_bytes());
    EXPECT_EQ(std::memcmp(static_cast<const float*>(other.Args().y) + 5 * 1024,
                          before.data() + 5 * 1024, 4 * 1024),
              0);
  }
}

TEST_F(LinearGpuTest, CapturedGemmGivesTheSameBits) {
  const DeviceLinearShape shape = Shape(DType::kBf16, DType::kF32, 8, 4096, 4096);
  const LinearCase linear(shape, 6);
  ASSERT_EQ(RunAndCompare(linear, 7), "");
  const auto* const y = static_cast<const float*>(linear.Args().y);
  const std::vector<float> want(y, y + 8 * 4096);
  const DeviceLinearArgs args = OnDevice(linear);
  const auto number = planner_->Plan(shape, {&args, 1}, workspace_, &stream());
  ASSERT_TRUE(number.ok());
  ASSERT_TRUE(stream().BeginCapture().ok());
  ASSERT_TRUE(planner_->Run(*number, args, workspace_, &stream()).ok());
  const auto graph = stream().EndCapture();
  ASSERT_TRUE(graph.ok()) << graph.status();
  for (int replay = 0; replay < 3; ++replay) {
    ASSERT_TRUE(stream().Fill(args.y, 0xff, linear.y_bytes()).ok());
    ASSERT_TRUE(stream().Replay(graph->get()).ok());
    Download(linear.Args().y, args.y, linear.y_bytes());
    EXPECT_EQ(std::memcmp(linear.Args().y, want.data(), size_t{8} * 4096 * 4), 0);
  }
}

TEST_F(LinearGpuTest, MeasuresAShapeOnceAndTheNextStartNotAtAll) {
  const TempDir dir;
  const std::string path = dir.path() + "/choices";
  const DeviceLinearShape shape = Shape(DType::kBf16, DType::kF32, 4, 1024, 2048);
  const LinearCase linear(shape, 8);
  const DeviceLinearArgs args = OnDevice(linear);
  const auto plan = [&](LinearPlanner& planner) {
    const auto number = planner.Plan(shape, {&args, 1}, workspace_, &stream());
    EXPECT_TRUE(number.ok()) << number.status();
    return number.value_or(-1);
  };
  const auto first = NewPlanner(path);
  EXPECT_EQ(plan(*first), plan(*first));
  EXPECT_EQ(first->num_measured(), 1);
  ASSERT_TRUE(first->SaveChoices().ok());
  const auto second = NewPlanner(path);
  const int32_t number = plan(*second);
  EXPECT_EQ(second->num_measured(), 0);
  ASSERT_TRUE(second->Run(number, args, workspace_, &stream()).ok());
  Download(linear.Args().y, args.y, linear.y_bytes());
  EXPECT_EQ(linear.Difference(SumSteps::kTensorCore, 3), "");
  std::ofstream(path) << "torn";
  const auto third = NewPlanner(path);
  plan(*third);
  EXPECT_EQ(third->num_measured(), 1);
}

TEST_F(LinearGpuTest, RefusesPointersLessAlignedThanPlanned) {
  const DeviceLinearShape shape = Shape(DType::kBf16, DType::kF32, 4, 256, 2048);
  const LinearCase linear(shape, 9);
  DeviceLinearArgs args = OnDevice(linear);
  const auto number = planner_->Plan(shape, {&args, 1}, workspace_, &stream());
  ASSERT_TRUE(number.ok());
  args.x = static_cast<const std::byte*>(args.x) + 16;
  EXPECT_EQ(planner_->Run(*number, args, workspace_, &stream()).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace chorus::test
