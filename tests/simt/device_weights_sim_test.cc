// DeviceWeights on the simulator: what lies on the device, value by value, against the checkpoint
// as the CPU's Weights read it, in every order in which the copies may run.
#include <algorithm>

#include "engine/model/device_weights.h"
#include "engine/model/weights.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simt/sim_device.h"
#include "tests/support/element.h"
#include "tests/support/golden.h"
#include "tests/support/tiny_model.h"

namespace chorus::test {
namespace {

using engine::DeviceWeights;
using engine::ModelConfig;
using engine::WeightRole;
using engine::Weights;
using kernels::DType;
using kernels::SimDevice;
using kernels::SimOrder;

// What the device has at `from`.
std::vector<std::byte> Download(SimDevice& device, const void* from, int64_t bytes) {
  const auto stream = *device.NewStream(SimDevice::Priority::kNormal);
  const kernels::DeviceBuffer pinned = *device.AllocatePinned(bytes);
  EXPECT_TRUE(stream->CopyToHost(pinned.data(), from, bytes).ok());
  EXPECT_TRUE(stream->Synchronize().ok());
  return {pinned.data(), pinned.data() + bytes};
}

void ExpectMatrix(SimDevice& device, const void* at, DType dtype,
                  const kernels::PackedMatrix& want) {
  ASSERT_NE(at, nullptr);
  const std::vector<std::byte> got = Download(device, at, want.outputs() * want.inputs() * 2);
  std::vector<float> row(static_cast<size_t>(want.inputs()));
  int64_t wrong = 0;
  for (int64_t output = 0; output < want.outputs(); ++output) {
    want.GetRow(output, row.data());
    for (int64_t i = 0; i < want.inputs(); ++i) {
      const float value = row[static_cast<size_t>(i)];
      const float rounded = dtype == DType::kBf16 ? kernels::Bf16::FromFloat(value).ToFloat()
                                                  : kernels::F16::FromFloat(value).ToFloat();
      wrong += LoadElement(dtype, got.data(), output * want.inputs() + i) != rounded;
    }
  }
  EXPECT_EQ(wrong, 0);
}

void ExpectVector(SimDevice& device, const float* at, const std::vector<float>& want) {
  ASSERT_EQ(at == nullptr, want.empty());
  if (want.empty()) return;
  const std::vector<std::byte> got =
      Download(device, at, static_cast<int64_t>(want.size() * sizeof(float)));
  EXPECT_TRUE(std::equal(want.begin(), want.end(), reinterpret_cast<const float*>(got.data())));
}

struct Param {
  const char* model;
  DType dtype;
  SimOrder order;
};

class DeviceWeightsTest : public testing::TestWithParam<Param> {};

TEST_P(DeviceWeightsTest, AreTheCheckpointsValuesRounded) {
  const auto [name, dtype, order] = GetParam();
  const TempDir dir;
  Golden(name).WriteModel(dir.path());
  const auto config = ModelConfig::Load(dir.path());
  ASSERT_TRUE(config.ok()) << config.status();
  SimDevice device({.order = order});
  const auto got = DeviceWeights::Load(dir.path(), *config, dtype, {}, &device);
  ASSERT_TRUE(got.ok()) << got.status();
  const auto want = Weights::Load(dir.path(), *config, DType::kF32, {});
  ASSERT_TRUE(want.ok()) << want.status();
  EXPECT_EQ(got->digest(), want->digest());
  for (int32_t layer = 0; layer < config->layers; ++layer) {
    const engine::LayerWeights& w = want->layers()[static_cast<size_t>(layer)];
    ExpectMatrix(device, got->Matrix(WeightRole::kQkv, layer), dtype, w.qkv);
    ExpectMatrix(device, got->Matrix(WeightRole::kO, layer), dtype, w.o);
    ExpectMatrix(device, got->Matrix(WeightRole::kGateUp, layer), dtype, w.gate_up);
    ExpectMatrix(device, got->Matrix(WeightRole::kDown, layer), dtype, w.down);
    ExpectVector(device, got->Vector(WeightRole::kInputNorm, layer), w.input_norm);
    ExpectVector(device, got->Vector(WeightRole::kQkvBias, layer), w.qkv_bias);
    ExpectVector(device, got->Vector(WeightRole::kQNorm, layer), w.q_norm);
    ExpectVector(device, got->Vector(WeightRole::kKNorm, layer), w.k_norm);
    ExpectVector(device, got->Vector(WeightRole::kOBias, layer), w.o_bias);
    ExpectVector(device, got->Vector(WeightRole::kPostAttentionNorm, layer), w.post_attention_norm);
    ExpectVector(device, got->Vector(WeightRole::kGateUpBias, layer), w.gate_up_bias);
    ExpectVector(device, got->Vector(WeightRole::kDownBias, layer), w.down_bias);
  }
  ExpectVector(device, got->Vector(WeightRole::kFinalNorm), want->final_norm());
  ExpectMatrix(device, got->Matrix(WeightRole::kLmHead), dtype, want->lm_head());
  ExpectMatrix(device, got->embedding(), dtype, want->embedding());
  EXPECT_EQ(got->embedding() == got->Matrix(WeightRole::kLmHead), config->tied_embeddings);
  EXPECT_TRUE(device.Finish().ok()) << device.Finish();
}

INSTANTIATE_TEST_SUITE_P(Sim, DeviceWeightsTest,
                         testing::Values(Param{"llama_biased", DType::kBf16, SimOrder::kLazy},
                                         Param{"llama_tied", DType::kBf16, SimOrder::kRandom},
                                         Param{"llama_minimal", DType::kF16, SimOrder::kTimed},
                                         Param{"qwen3", DType::kF16, SimOrder::kEager},
                                         Param{"qwen2", DType::kF16, SimOrder::kLazy}),
                         [](const auto& info) {
                           return std::string(info.param.model) + "_" +
                                  std::string(kernels::Name(info.param.dtype));
                         });

// What `write` left: bytes that tell the parameter, the row and the column.
uint16_t Written(const engine::WeightShape& shape, int64_t element) {
  return static_cast<uint16_t>(static_cast<int64_t>(shape.place.role) * 1000 +
                               shape.place.layer * 500 + element);
}

TEST(DeviceWeightsMadeTest, LieWhereTheirWriterPutThem) {
  SimDevice device({.order = SimOrder::kLazy});
  const auto stream = *device.NewStream(SimDevice::Priority::kNormal);
  const engine::WeightShape shapes[] = {{{WeightRole::kInputNorm, 0}, 1, 5},
                                        {{WeightRole::kO, 1}, 7, 3},
                                        {{WeightRole::kLmHead}, 11, 9},
                                        {{WeightRole::kO, 0}, 7, 3}};
  std::vector<kernels::DeviceBuffer> pinned;
  const auto made = DeviceWeights::Make(
      shapes, DType::kF16, &device,
      [&](const engine::WeightShape& shape, DType dtype, std::byte* to) {
        EXPECT_EQ(dtype, shape.place.role == WeightRole::kInputNorm ? DType::kF32 : DType::kF16);
        const int64_t bytes = shape.rows * shape.cols * kernels::ByteSize(dtype);
        pinned.push_back(*device.AllocatePinned(bytes));
        for (int64_t i = 0; i < bytes / 2; ++i) {
          pinned.back().As<uint16_t>()[i] = Written(shape, i);
        }
        return stream->CopyToDevice(to, pinned.back().data(), bytes);
      });
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_TRUE(stream->Synchronize().ok());
  for (const engine::WeightShape& shape : shapes) {
    const auto& [role, layer] = shape.place;
    const void* const at = made->Matrix(role, layer);
    ASSERT_NE(at, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(at) % 256, 0u);
    const int64_t halves = shape.rows * shape.cols * (role == WeightRole::kInputNorm ? 2 : 1);
    const std::vector<std::byte> got = Download(device, at, halves * 2);
    for (int64_t i = 0; i < halves; ++i) {
      EXPECT_EQ(reinterpret_cast<const uint16_t*>(got.data())[i], Written(shape, i)) << i;
    }
  }
  EXPECT_EQ(made->Vector(WeightRole::kInputNorm, 1), nullptr);
  EXPECT_EQ(made->Matrix(WeightRole::kDown, 0), nullptr);
  EXPECT_EQ(made->embedding(), made->Matrix(WeightRole::kLmHead));
  EXPECT_EQ(made->bytes(), 4 * 256);
  EXPECT_TRUE(device.Finish().ok()) << device.Finish();
}

TEST(DeviceWeightsMadeTest, AnErrorOfTheWriterIsTheirs) {
  SimDevice device({});
  const engine::WeightShape shapes[] = {{{WeightRole::kLmHead}, 4, 8}};
  const auto refuse = [](const engine::WeightShape&, DType, std::byte*) {
    return absl::UnavailableError("no");
  };
  EXPECT_EQ(DeviceWeights::Make(shapes, DType::kBf16, &device, refuse).status(),
            absl::UnavailableError("no"));
  EXPECT_EQ(DeviceWeights::Make(shapes, DType::kF32, &device, refuse).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(DeviceWeightsRefusalTest, RefusesByNameWhatOverflows) {
  const TempDir dir;
  TinyModel model = TinyModel::Make("LlamaForCausalLM", engine::Json::object());
  model.tensors.at("model.layers.1.mlp.up_proj.weight").values[77] = 70144.0f;
  model.Write(dir.path());
  const auto config = ModelConfig::Load(dir.path());
  ASSERT_TRUE(config.ok()) << config.status();
  SimDevice device({});
  const auto f16 = DeviceWeights::Load(dir.path(), *config, DType::kF16, {}, &device);
  EXPECT_EQ(f16.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(f16.status().message()),
              "model.layers.1.mlp.up_proj.weight: expected values that fit f16, got one that does "
              "not");
  EXPECT_TRUE(DeviceWeights::Load(dir.path(), *config, DType::kBf16, {}, &device).ok());
  EXPECT_TRUE(device.Finish().ok()) << device.Finish();
}

TEST(DeviceWeightsRefusalTest, SaysWhenTheMemoryIsShort) {
  const TempDir dir;
  TinyModel::Make("LlamaForCausalLM", engine::Json::object()).Write(dir.path());
  const auto config = ModelConfig::Load(dir.path());
  ASSERT_TRUE(config.ok()) << config.status();
  kernels::SimOptions options;
  options.info.total_bytes = 20'000;
  SimDevice device(options);
  EXPECT_EQ(DeviceWeights::Load(dir.path(), *config, DType::kBf16, {}, &device).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace chorus::test
