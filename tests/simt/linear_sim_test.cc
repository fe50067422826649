#include "tests/simt/linear_sim.h"

#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/linear_case.h"

namespace chorus::test {
namespace {

using kernels::DeviceLinearArgs;
using kernels::DeviceLinearShape;
using kernels::DType;

DeviceLinearShape Shape(DType dtype, DType y_dtype, int32_t rows, int32_t outputs, int32_t inputs) {
  return {.dtype = dtype,
          .y_dtype = y_dtype,
          .rows = rows,
          .outputs = outputs,
          .inputs = inputs,
          .x_stride = inputs + 8,
          .y_stride = outputs + 16};
}

TEST(LinearSimTest, MatchesTheReference) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    for (const DType y_dtype : {DType::kF32, dtype}) {
      for (const bool bias : {false, true}) {
        for (const int32_t rows : {1, 5, 16}) {
          DeviceLinearShape shape = Shape(dtype, y_dtype, rows, 48, 72);
          shape.bias = bias;
          const LinearCase linear(shape, 7);
          ASSERT_TRUE(LinearSim(shape, linear.Args()).ok());
          EXPECT_EQ(linear.Difference(SumSteps::kOneByOne), "");
        }
      }
    }
  }
}

// What the tests on a GPU rest on.
TEST(LinearSimTest, OracleNoticesWhatIsWrong) {
  const DeviceLinearShape shape = Shape(DType::kBf16, DType::kF32, 4, 48, 4096);
  const LinearCase linear(shape, 7);
  EXPECT_NE(linear.Difference(SumSteps::kOneByOne), "");  // nothing has run
  DeviceLinearShape shorter = shape;                      // one product less of 4096
  shorter.inputs -= 1;
  shorter.x_stride = shape.x_stride;
  std::vector<uint16_t> weight(size_t{48} * 4095);
  const auto* const from = static_cast<const uint16_t*>(linear.Args().weight);
  for (size_t o = 0; o < 48; ++o) {
    std::copy_n(from + o * 4096, 4095, weight.data() + o * 4095);
  }
  DeviceLinearArgs args = linear.Args();
  args.weight = weight.data();
  ASSERT_TRUE(LinearSim(shorter, args).ok());
  EXPECT_NE(linear.Difference(SumSteps::kOneByOne), "");
}

TEST(LinearSimTest, RunsInTheOrderOfItsStream) {
  const DeviceLinearShape shape = Shape(DType::kBf16, DType::kF32, 3, 16, 24);
  const LinearCase linear(shape, 7);
  kernels::SimDevice device({});
  const auto stream = device.NewStream(kernels::Device::Priority::kNormal).value();
  const DeviceLinearArgs host = linear.Args();
  const int64_t sizes[] = {linear.x_bytes(), linear.weight_bytes(), linear.y_bytes()};
  const void* const from[] = {host.x, host.weight, host.y};
  kernels::DeviceBuffer staged[3];
  kernels::DeviceBuffer on_device[3];
  for (int i = 0; i < 3; ++i) {
    staged[i] = device.AllocatePinned(sizes[i]).value();
    on_device[i] = device.Allocate(sizes[i]).value();
    std::memcpy(staged[i].data(), from[i], static_cast<size_t>(sizes[i]));
    ASSERT_TRUE(stream->CopyToDevice(on_device[i].data(), staged[i].data(), sizes[i]).ok());
  }
  const DeviceLinearArgs args = {
      .x = on_device[0].data(), .weight = on_device[1].data(), .y = on_device[2].data()};
  ASSERT_TRUE(EnqueueLinear(shape, args, &device, stream.get()).ok());
  ASSERT_TRUE(stream->CopyToHost(staged[2].data(), args.y, sizes[2]).ok());
  const absl::Status status = stream->Synchronize();
  ASSERT_TRUE(status.ok()) << status;
  std::memcpy(host.y, staged[2].data(), static_cast<size_t>(sizes[2]));
  EXPECT_EQ(linear.Difference(SumSteps::kOneByOne), "");
  // On another stream nothing orders it with the copy.
  const auto other = device.NewStream(kernels::Device::Priority::kNormal).value();
  ASSERT_TRUE(stream->CopyToDevice(on_device[0].data(), staged[0].data(), sizes[0]).ok());
  EnqueueLinear(shape, args, &device, other.get()).IgnoreError();  // says it now, or at the end
  EXPECT_THAT(std::string(device.Finish().message()), testing::HasSubstr("no event orders it"));
}

TEST(LinearSimTest, RefusesWhatDoesNotFit) {
  const DeviceLinearShape good = Shape(DType::kBf16, DType::kF32, 2, 16, 16);
  const LinearCase linear(good, 1);
  const auto message = [&](const auto& change) {
    DeviceLinearShape shape = good;
    DeviceLinearArgs args = linear.Args();
    change(shape, args);
    return std::string(LinearSim(shape, args).message());
  };
  EXPECT_EQ(message([](auto&, auto&) {}), "");
  EXPECT_EQ(message([](auto& s, auto&) { s.dtype = DType::kF32; }),
            "Linear: types are f32 to f32, want bf16 or f16 to f32 or to itself");
  EXPECT_EQ(message([](auto& s, auto&) { s.y_dtype = DType::kF16; }),
            "Linear: types are bf16 to f16, want bf16 or f16 to f32 or to itself");
  EXPECT_EQ(message([](auto& s, auto&) { s.rows = 0; }),
            "Linear: rows is 0, want one in [1, 1073741824)");
  EXPECT_EQ(message([](auto& s, auto&) { s.y_stride = 15; }),
            "Linear: y_stride is 15, want one in [16, 1073741824)");
  EXPECT_EQ(message([](auto&, auto& a) { a.x = static_cast<const uint16_t*>(a.x) + 1; }),
            "Linear: x is not 16-byte aligned");
}

}  // namespace
}  // namespace chorus::test
