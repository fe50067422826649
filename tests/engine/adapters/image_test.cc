// Images: what is written comes back through cells as the matrices were, for any rank, width, type
// and lease; a damaged one is noticed.
#include <cstring>
#include <random>

#include "engine/adapters/adapter_image.h"
#include "engine/adapters/tensor_values.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/lora/tiles.h"
#include "tests/support/adapter_builder.h"
#include "tests/support/test_pool.h"

namespace chorus::engine {
namespace {

using kernels::BTileOrder;
using kernels::DType;
using kernels::LoraModuleEntry;
using test::AdapterFiles;
using test::Bytes;
using test::TestPool;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Written {
  AdapterFiles files;
  std::string tensors;
  AdapterSpec spec;
  std::string image;
  std::vector<std::string> warnings;
};

// An image of the adapter for a pool of this geometry.
Written Write(AdapterFiles files, const ModelConfig& model, const kernels::PoolView& pool,
              int32_t pad_rank = 0) {
  Written written;
  written.tensors = files.tensor_file();
  auto spec = test::ReadAdapter(files.config_text(), written.tensors, model);
  EXPECT_TRUE(spec.ok()) << spec.status();
  written.spec = *std::move(spec);
  written.files = std::move(files);
  const absl::Status status = WriteImage(
      written.spec, *Bytes(written.tensors), {model, Shard{}, pool, pad_rank},
      [&](std::span<const std::byte> bytes) {
        written.image.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return absl::OkStatus();
      },
      &written.warnings);
  EXPECT_TRUE(status.ok()) << status;
  return written;
}

absl::StatusOr<std::unique_ptr<ImageReader>> Open(const std::string& image,
                                                  const ModelConfig& model,
                                                  const kernels::PoolView& pool,
                                                  int32_t pad_rank = 0) {
  return ImageReader::Open(Bytes(image), ImageFingerprint({model, Shard{}, pool, pad_rank}));
}

// Element (rank, wide) of a matrix whose first tile is `tile`, straight from tiles.h.
double TileElement(const TestPool& pool, const std::vector<int32_t>& cells, int64_t tile, int rank,
                   int64_t width_index, int64_t r, bool fragments) {
  const int64_t rank_blocks = (rank + 7) / 8;
  tile += width_index / 32 * rank_blocks + r / 8;
  const int64_t per_cell = kernels::TilesPerCell(pool.view());
  const int64_t in_tile = fragments
                              ? kernels::DeviceBTileIndex(static_cast<int32_t>(width_index % 32),
                                                          static_cast<int32_t>(r % 8))
                              : r % 8 * 32 + width_index % 32;
  return pool.Get(cells[static_cast<size_t>(tile / per_cell)], tile % per_cell * 256 + in_tile);
}

double Rounded(DType type, float value) {
  return type == DType::kBf16 ? kernels::Bf16::FromFloat(value).ToFloat() : value;
}

float FileElement(const Written& written, const TensorSpan& span, int64_t index) {
  const std::string_view bytes = std::string_view(written.tensors).substr(span.offset, span.bytes);
  return ElementAt(std::as_bytes(std::span(bytes)), span.dtype, static_cast<size_t>(index));
}

void ExpectModule(const Written& written, const AdapterModule& module, const LoraModuleEntry& entry,
                  const ModelConfig& model, const TestPool& pool, const std::vector<int32_t>& cells,
                  int32_t pad_rank) {
  ASSERT_EQ(entry.rank, std::max(module.rank, pad_rank));
  ASSERT_EQ(entry.scale, module.scale);
  const auto shape = model.linear(module.module);
  const DType type = pool.view().dtype;
  const int64_t padded_rank = kernels::RoundUp<int64_t>(entry.rank, 8);
  const auto expect_matrix = [&](int32_t tile, int64_t width, auto file_index,
                                 const TensorSpan& span, bool fragments) {
    int64_t wrong = 0;
    for (int64_t w = 0; w < kernels::RoundUp<int64_t>(width, 32); ++w) {
      for (int64_t r = 0; r < padded_rank; ++r) {
        const double want = r < module.rank && w < width
                                ? Rounded(type, FileElement(written, span, file_index(r, w)))
                                : 0.0;
        wrong += TileElement(pool, cells, tile, entry.rank, w, r, fragments) != want;
      }
    }
    EXPECT_EQ(wrong, 0);
  };
  expect_matrix(
      entry.a_tile, shape.inputs, [&](int64_t r, int64_t w) { return r * shape.inputs + w; },
      module.a, false);
  expect_matrix(
      entry.b_tile, shape.outputs, [&](int64_t r, int64_t w) { return w * module.rank + r; },
      module.b, pool.view().b_tiles == BTileOrder::kFragments);
  ASSERT_EQ(entry.bias_tile >= 0, module.bias.has_value());
  for (int64_t i = 0; module.bias.has_value() && i < kernels::RoundUp<int64_t>(shape.outputs, 256);
       ++i) {
    const double want =
        i < shape.outputs ? Rounded(type, FileElement(written, *module.bias, i)) : 0.0;
    const int64_t tile = entry.bias_tile + i / 256;
    const int64_t per_cell = kernels::TilesPerCell(pool.view());
    ASSERT_EQ(
        pool.Get(cells[static_cast<size_t>(tile / per_cell)], tile % per_cell * 256 + i % 256),
        want);
  }
}

TEST(ImageTest, ComesBackThroughCellsAsItWas) {
  const uint64_t seed = 20261124;
  std::mt19937_64 random(seed);
  const auto pick = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  const std::vector<std::string> linears = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                            "gate_proj", "up_proj", "down_proj"};
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << ", round " << round);
    ModelConfig model = test::TinyModel();
    model.layers = pick(1, 4);
    model.hidden = pick(1, 150);
    model.intermediate = pick(1, 200);
    model.kv_heads = pick(1, 3);
    model.heads = model.kv_heads * pick(1, 3);
    model.head_dim = 8 * pick(1, 4);
    test::BuildOptions options;
    options.targets.clear();
    for (const std::string& linear : linears) {
      if (options.targets.empty() || pick(0, 1) == 1) options.targets.push_back(linear);
    }
    options.rank = round < 4 ? std::vector{1, 8, 9, 256}[static_cast<size_t>(round)] : pick(1, 40);
    options.dtype = std::vector<std::string>{"F32", "F16", "BF16"}[static_cast<size_t>(pick(0, 2))];
    options.lora_bias = pick(0, 1) == 1;
    options.seed = static_cast<uint64_t>(round);
    const DType type = pick(0, 1) == 1 ? DType::kF32 : DType::kBf16;

    const BTileOrder b_tiles = pick(0, 1) == 1 ? BTileOrder::kFragments : BTileOrder::kRankRows;

    const TestPool shape(type, model.kv_heads, model.head_dim, /*num_ids=*/1, model.layers,
                         b_tiles);
    const int32_t pad_rank = pick(0, 2) == 0 ? pick(1, 64) : 0;
    const Written written =
        Write(test::BuildAdapter(model, options), model, shape.view(), pad_rank);
    auto reader = Open(written.image, model, shape.view(), pad_rank);
    ASSERT_TRUE(reader.ok()) << reader.status();
    const ImageLayout& layout = (*reader)->layout();
    EXPECT_EQ((*reader)->digest(), written.spec.digest);
    ASSERT_LE(layout.num_ids, 1500);

    std::vector<int32_t> ids;  // ascending, in runs and with gaps
    for (int32_t id = pick(0, 5); static_cast<int64_t>(ids.size()) < layout.num_ids; ++id) {
      if (pick(0, 3) != 0) ids.push_back(id);
    }
    TestPool pool(type, model.kv_heads, model.head_dim, ids.back() + 1, model.layers, b_tiles);
    const int64_t num_cells =
        kernels::CeilDiv<int64_t>(layout.num_tiles, kernels::TilesPerCell(pool.view()));
    const std::vector<int32_t> cells = CellsInFillOrder(ids, num_cells, pool.view());
    for (int layer = 0; layer < model.layers; ++layer) {
      ASSERT_TRUE((*reader)->ReadLayer(layer, cells, pool.view()).ok());
    }
    for (const AdapterModule& module : written.spec.modules) {
      ExpectModule(written, module,
                   layout.modules[static_cast<size_t>(module.layer * 7 + module.module)], model,
                   pool, cells, pad_rank);
    }
  }
}

TEST(ImageTest, CellsFillSlabBySlab) {
  kernels::PoolView pool;
  pool.num_ids = 100;
  pool.num_slabs = 3;
  EXPECT_THAT(CellsInFillOrder(std::vector<int32_t>{4, 7}, 5, pool),
              ElementsAre(4, 7, 104, 107, 204));
}

TEST(ImageTest, LayersWithoutModulesAreEmptyRuns) {
  const ModelConfig model = test::TinyModel();
  AdapterFiles files = test::BuildAdapter(model);
  files.config["layers_to_transform"] = 1;
  for (int layer : {0, 2}) {
    for (const char* linear : {"q_proj", "v_proj"}) {
      files.Remove(test::PeftName(layer, linear, "lora_A.weight"));
      files.Remove(test::PeftName(layer, linear, "lora_B.weight"));
    }
  }
  TestPool pool(DType::kF32, 2, 16, 20, 3);
  const Written written = Write(files, model, pool.view());
  const auto reader = Open(written.image, model, pool.view());
  ASSERT_TRUE(reader.ok()) << reader.status();
  // q: 64 → 64, v: 64 → 32, at rank 4: 2 + 2 and 2 + 1 tiles.
  EXPECT_THAT((*reader)->layout().layer_tiles_begin, ElementsAre(0, 0, 7, 7));
}

TEST(ImageTest, NoticesDamageAnywhere) {
  const ModelConfig model = test::TinyModel();
  TestPool pool(DType::kBf16, 2, 16, 20, 3);
  const std::string image = Write(test::BuildAdapter(model), model, pool.view()).image;
  const auto load = [&](const std::string& bytes) {
    const auto reader = Open(bytes, model, pool.view());
    if (!reader.ok()) return reader.status();
    std::vector<int32_t> ids;
    for (int32_t id = 0; id < 20; ++id) ids.push_back(id);
    const std::vector<int32_t> cells = CellsInFillOrder(ids, 60, pool.view());
    for (int layer = 0; layer < model.layers; ++layer) {
      if (absl::Status s = (*reader)->ReadLayer(layer, cells, pool.view()); !s.ok()) return s;
    }
    return absl::OkStatus();
  };
  ASSERT_TRUE(load(image).ok());
  for (size_t at = 0; at < image.size(); at += at < 1200 ? 1 : 37) {
    std::string damaged = image;
    damaged[at] ^= 0x10;
    const bool fingerprint = at >= 8 && at < 40;
    EXPECT_EQ(load(damaged).code(),
              fingerprint ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kDataLoss)
        << "byte " << at;
  }
  for (size_t size = 0; size < image.size(); size += 97) {
    EXPECT_EQ(load(image.substr(0, size)).code(), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(load(image + "x").code(), absl::StatusCode::kDataLoss);
}

TEST(ImageTest, IsRebuiltForAnotherLayout) {
  const ModelConfig model = test::TinyModel();
  TestPool pool(DType::kF32, 2, 16, 20, 3);
  TestPool bf16(DType::kBf16, 2, 16, 20, 3);
  TestPool wider(DType::kF32, 2, 32, 20, 3);
  TestPool fragments(DType::kF32, 2, 16, 20, 3, BTileOrder::kFragments);
  const std::string image = Write(test::BuildAdapter(model), model, pool.view()).image;
  EXPECT_TRUE(Open(image, model, pool.view()).ok());
  for (const kernels::PoolView& other : {bf16.view(), wider.view(), fragments.view()}) {
    EXPECT_EQ(Open(image, model, other).status().code(), absl::StatusCode::kFailedPrecondition);
  }
  ModelConfig taller = model;
  taller.intermediate += 16;
  EXPECT_EQ(Open(image, taller, pool.view()).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(ImageTest, ReportsLostPrecision) {
  const ModelConfig model = test::TinyModel();
  TestPool bf16(DType::kBf16, 2, 16, 20, 3);
  TestPool f32(DType::kF32, 2, 16, 20, 3);
  EXPECT_THAT(Write(test::BuildAdapter(model), model, bf16.view()).warnings,
              ElementsAre("precision was lost: 12 of 12 tensors were rounded to bf16"));
  EXPECT_THAT(Write(test::BuildAdapter(model), model, f32.view()).warnings, ElementsAre());
  EXPECT_THAT(Write(test::BuildAdapter(model, {.dtype = "BF16"}), model, bf16.view()).warnings,
              ElementsAre());
}

TEST(ImageTest, RefusesWhatOverflowsThePoolsType) {
  const ModelConfig model = test::TinyModel();
  const auto status_for = [&](DType type, float value) {
    AdapterFiles files = test::BuildAdapter(model);
    files.tensor(test::PeftName(1, "v_proj", "lora_B.weight")).bytes =
        test::Elements("F32", 32 * 4, [&](uint64_t i) { return i == 37 ? value : 0.0f; });
    const std::string tensors = files.tensor_file();
    const auto spec = test::ReadAdapter(files.config_text(), tensors, model);
    EXPECT_TRUE(spec.ok()) << spec.status();
    kernels::PoolView pool{nullptr, 20, 3, 2, 16, type};
    return WriteImage(
        *spec, *Bytes(tensors), {model, Shard{}, pool},
        [](std::span<const std::byte>) { return absl::OkStatus(); }, nullptr);
  };
  const absl::Status bf16 = status_for(DType::kBf16, 3.4e38f);
  EXPECT_EQ(bf16.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(bf16.message()),
              "self_attn.v_proj.lora_B of layer 1: expected values that fit bf16, got 3.4e+38 at "
              "element 37");
  EXPECT_TRUE(status_for(DType::kF32, 3.4e38f).ok());
  EXPECT_TRUE(status_for(DType::kF16, 65519.0f).ok());
  EXPECT_FALSE(status_for(DType::kF16, -65520.0f).ok());
}

}  // namespace
}  // namespace chorus::engine
