// The file of an image:
//
//   image   := header tile* trailer                   little-endian, header a multiple of 64 bytes
//   header  := "CHORUSIM" fingerprint:32·byte digest:32·byte
//              layers:u32 zero:u32 num_tiles:u64 num_ids:u64
//              module[layers * 7] layer_tiles_begin[layers + 1]:u64 zero*
//   module  := rank:i32 scale:f32 a_tile:i32 b_tile:i32 bias_tile:i32
//   trailer := layer_crc[layers]:u32 header_crc:u32   CRC-32C
#include "engine/adapters/adapter_image.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/adapters/crc32c.h"
#include "engine/adapters/tensor_values.h"
#include "engine/refusal.h"
#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::Bf16;
using kernels::CeilDiv;
using kernels::DType;
using kernels::kNumLoraModules;
using kernels::kTileElements;
using kernels::kTileRanks;
using kernels::kTileWidth;
using kernels::LoraModuleEntry;
using kernels::PoolView;

constexpr char kMagic[8] = {'C', 'H', 'O', 'R', 'U', 'S', 'I', 'M'};
constexpr size_t kFixedHeader = 8 + 32 + 32 + 4 + 4 + 8 + 8;
constexpr size_t kModuleBytes = 5 * 4;
constexpr size_t kReadSlice = size_t{256} << 10;  // so that a load never holds a core for long

size_t HeaderBytes(size_t layers) {
  const size_t bytes = kFixedHeader + layers * kNumLoraModules * kModuleBytes + (layers + 1) * 8;
  return kernels::RoundUp<size_t>(bytes, 64);
}

std::array<uint8_t, 32> FingerprintHash(const std::string& fingerprint) {
  std::array<uint8_t, 32> hash;
  SHA256(reinterpret_cast<const unsigned char*>(fingerprint.data()), fingerprint.size(),
         hash.data());
  return hash;
}

class Packer {
 public:
  explicit Packer(size_t bytes) : bytes_(bytes) {}
  template <class T>
  void Put(const T& value) {
    std::memcpy(bytes_.data() + at_, &value, sizeof(T));
    at_ += sizeof(T);
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
  size_t at_ = 0;
};

class Unpacker {
 public:
  explicit Unpacker(std::span<const std::byte> bytes) : bytes_(bytes) {}
  template <class T>
  T Take() {
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

std::vector<std::byte> PackHeader(const ImageLayout& layout, const AdapterDigest& digest,
                                  const std::string& fingerprint) {
  const size_t layers = layout.layer_tiles_begin.size() - 1;
  Packer header(HeaderBytes(layers));
  header.Put(kMagic);
  header.Put(FingerprintHash(fingerprint));
  header.Put(digest.bytes);
  header.Put(static_cast<uint32_t>(layers));
  header.Put(uint32_t{0});
  header.Put(static_cast<uint64_t>(layout.num_tiles));
  header.Put(static_cast<uint64_t>(layout.num_ids));
  for (const LoraModuleEntry& entry : layout.modules) {
    header.Put(entry.rank);
    header.Put(entry.scale);
    header.Put(entry.a_tile);
    header.Put(entry.b_tile);
    header.Put(entry.bias_tile);
  }
  for (int64_t begin : layout.layer_tiles_begin) header.Put(static_cast<uint64_t>(begin));
  return {header.bytes().begin(), header.bytes().end()};
}

// Converts values to the pool's type and collects a layer's tiles.
class TileWriter {
 public:
  TileWriter(DType dtype, std::vector<std::byte>* out) : dtype_(dtype), out_(out) {}

  bool lost_precision() const { return lost_precision_; }

  // `value(rank, wide)` for all tiles of a [rank × width] matrix; zeros beyond both.
  template <class Value>
  absl::Status Matrix(const std::string& name, int64_t rank, int64_t width, const Value& value) {
    for (int64_t block = 0; block < CeilDiv<int64_t>(width, kTileWidth); ++block) {
      for (int64_t ranks = 0; ranks < CeilDiv<int64_t>(rank, kTileRanks); ++ranks) {
        for (int64_t i = 0; i < kTileElements; ++i) {
          const int64_t r = ranks * kTileRanks + i / kTileWidth;
          const int64_t w = block * kTileWidth + i % kTileWidth;
          CHORUS_RETURN_IF_ERROR(Put(name, r < rank && w < width ? value(r, w) : 0.0f));
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status Vector(const std::string& name, std::span<const float> values) {
    const int64_t width = static_cast<int64_t>(values.size());
    for (int64_t i = 0; i < kernels::VectorTiles(width) * kTileElements; ++i) {
      CHORUS_RETURN_IF_ERROR(Put(name, i < width ? values[static_cast<size_t>(i)] : 0.0f));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Put(const std::string& name, float value) {
    if (dtype_ == DType::kF32) {
      Append(&value, 4);
      return absl::OkStatus();
    }
    const Bf16 rounded = Bf16::FromFloat(value);
    const float back = rounded.ToFloat();
    if (!std::isfinite(back)) {
      return Refuse(Reason::kAdapterNotFinite, name, "values that fit bf16", absl::StrCat(value));
    }
    lost_precision_ |= back != value;
    Append(&rounded.bits, 2);
    return absl::OkStatus();
  }
  void Append(const void* data, size_t size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    out_->insert(out_->end(), bytes, bytes + size);
  }

  const DType dtype_;
  std::vector<std::byte>* const out_;
  bool lost_precision_ = false;
};

absl::Status WriteModule(const AdapterModule& module, const ByteSource& file, int64_t inputs,
                         int64_t outputs, TileWriter* tiles) {
  const std::string name = absl::StrCat("layers.", module.layer, ".", kLinearNames[module.module]);
  CHORUS_ASSIGN_OR_RETURN(const std::vector<float> a, ReadFloats(file, module.a));
  CHORUS_RETURN_IF_ERROR(
      tiles->Matrix(absl::StrCat(name, ".lora_A"), module.rank, inputs,
                    [&](int64_t r, int64_t w) { return a[static_cast<size_t>(r * inputs + w)]; }));
  CHORUS_ASSIGN_OR_RETURN(const std::vector<float> b, ReadFloats(file, module.b));
  CHORUS_RETURN_IF_ERROR(tiles->Matrix(
      absl::StrCat(name, ".lora_B"), module.rank, outputs,
      [&](int64_t r, int64_t w) { return b[static_cast<size_t>(w * module.rank + r)]; }));
  if (module.bias.has_value()) {
    CHORUS_ASSIGN_OR_RETURN(const std::vector<float> bias, ReadFloats(file, *module.bias));
    CHORUS_RETURN_IF_ERROR(tiles->Vector(absl::StrCat(name, ".lora_B.bias"), bias));
  }
  return absl::OkStatus();
}

absl::Status Torn(const std::string& what) {
  return absl::DataLossError(absl::StrCat("adapter image: ", what));
}

}  // namespace

ImageLayout ImageLayout::Make(const AdapterSpec& spec, const ModelConfig& model, Shard shard,
                              const PoolView& geometry) {
  CHORUS_CHECK_EQ(shard.num_ranks, 1);
  ImageLayout layout;
  layout.modules.resize(static_cast<size_t>(model.layers * kNumLoraModules));
  layout.layer_tiles_begin.assign(static_cast<size_t>(model.layers) + 1, 0);
  int64_t tile = 0;
  for (const AdapterModule& module : spec.modules) {
    const ModelConfig::LinearShape shape = model.linear(module.module);
    LoraModuleEntry& entry =
        layout.modules[static_cast<size_t>(module.layer * kNumLoraModules + module.module)];
    entry.rank = module.rank;
    entry.scale = module.scale;
    entry.a_tile = static_cast<int32_t>(tile);
    tile += kernels::MatrixTiles(shape.inputs, module.rank);
    entry.b_tile = static_cast<int32_t>(tile);
    tile += kernels::MatrixTiles(shape.outputs, module.rank);
    if (module.bias.has_value()) {
      entry.bias_tile = static_cast<int32_t>(tile);
      tile += kernels::VectorTiles(shape.outputs);
    }
    layout.layer_tiles_begin[static_cast<size_t>(module.layer) + 1] = tile;
  }
  for (size_t layer = 1; layer < layout.layer_tiles_begin.size(); ++layer) {  // layers without any
    layout.layer_tiles_begin[layer] =
        std::max(layout.layer_tiles_begin[layer], layout.layer_tiles_begin[layer - 1]);
  }
  layout.num_tiles = tile;
  layout.num_ids = CeilDiv<int64_t>(tile, kernels::TilesPerCell(geometry) * geometry.num_slabs);
  return layout;
}

std::vector<int32_t> CellsInFillOrder(std::span<const int32_t> ids, int64_t num_cells,
                                      const PoolView& pool) {
  CHORUS_CHECK_LE(num_cells, static_cast<int64_t>(ids.size()) * pool.num_slabs);
  std::vector<int32_t> cells;
  cells.reserve(static_cast<size_t>(num_cells));
  for (int32_t slab = 0; static_cast<int64_t>(cells.size()) < num_cells; ++slab) {
    for (size_t i = 0; i < ids.size() && static_cast<int64_t>(cells.size()) < num_cells; ++i) {
      cells.push_back(static_cast<int32_t>(pool.CellOf(slab, ids[i])));
    }
  }
  return cells;
}

std::string ImageFingerprint(const ModelConfig& model, Shard shard, const PoolView& geometry) {
  std::string text =
      absl::StrCat("image 1; layers ", model.layers, "; cell ", geometry.cell_elements(), " ",
                   std::string(kernels::Name(geometry.dtype)), "; tile ", kTileRanks, "x",
                   kTileWidth, "; rank ", shard.rank, " of ", shard.num_ranks);
  for (int m = 0; m < kNumLoraModules; ++m) {
    const ModelConfig::LinearShape shape = model.linear(static_cast<kernels::LoraModule>(m));
    absl::StrAppend(&text, "; ", shape.inputs, "x", shape.outputs);
  }
  return text;
}

absl::Status WriteImage(const AdapterSpec& spec, const ByteSource& tensors,
                        const ModelConfig& model, Shard shard, const PoolView& geometry,
                        absl::FunctionRef<absl::Status(std::span<const std::byte>)> append,
                        std::vector<std::string>* warnings) {
  const ImageLayout layout = ImageLayout::Make(spec, model, shard, geometry);
  const std::vector<std::byte> header =
      PackHeader(layout, spec.digest, ImageFingerprint(model, shard, geometry));
  CHORUS_RETURN_IF_ERROR(append(header));
  Packer trailer((static_cast<size_t>(model.layers) + 1) * 4);
  bool lost_precision = false;
  auto module = spec.modules.begin();
  for (int32_t layer = 0; layer < model.layers; ++layer) {
    std::vector<std::byte> bytes;
    TileWriter tiles(geometry.dtype, &bytes);
    for (; module != spec.modules.end() && module->layer == layer; ++module) {
      const ModelConfig::LinearShape shape = model.linear(module->module);
      CHORUS_RETURN_IF_ERROR(WriteModule(*module, tensors, shape.inputs, shape.outputs, &tiles));
    }
    lost_precision |= tiles.lost_precision();
    trailer.Put(Crc32c(0, bytes));
    CHORUS_RETURN_IF_ERROR(append(bytes));
  }
  trailer.Put(Crc32c(0, header));
  CHORUS_RETURN_IF_ERROR(append(trailer.bytes()));
  if (lost_precision && warnings != nullptr) {
    warnings->push_back(
        absl::StrCat("weights were rounded to ", std::string(kernels::Name(geometry.dtype))));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ImageReader>> ImageReader::Open(std::unique_ptr<ByteSource> file,
                                                               const std::string& fingerprint) {
  std::vector<std::byte> bytes(kFixedHeader);
  CHORUS_RETURN_IF_ERROR(file->Read(0, bytes));
  Unpacker fixed(bytes);
  if (std::memcmp(fixed.Take<std::array<char, 8>>().data(), kMagic, sizeof(kMagic)) != 0) {
    return Torn("no image");
  }
  if (fixed.Take<std::array<uint8_t, 32>>() != FingerprintHash(fingerprint)) {
    return absl::FailedPreconditionError("adapter image: made for another layout");
  }
  auto reader = std::unique_ptr<ImageReader>(new ImageReader);
  reader->digest_.bytes = fixed.Take<std::array<uint8_t, 32>>();
  const size_t layers = fixed.Take<uint32_t>();
  const size_t trailer_bytes = (layers + 1) * 4;
  if (layers > 4096 || file->size() < HeaderBytes(layers) + trailer_bytes) return Torn("cut short");

  bytes.resize(HeaderBytes(layers));
  CHORUS_RETURN_IF_ERROR(file->Read(0, bytes));
  std::vector<std::byte> trailer(trailer_bytes);
  CHORUS_RETURN_IF_ERROR(file->Read(file->size() - trailer_bytes, trailer));
  Unpacker crcs(trailer);
  for (size_t i = 0; i < layers; ++i) reader->layer_crc_.push_back(crcs.Take<uint32_t>());
  if (crcs.Take<uint32_t>() != Crc32c(0, bytes)) return Torn("the header's checksum differs");

  Unpacker header{std::span<const std::byte>(bytes).subspan(8 + 32 + 32 + 4 + 4)};
  ImageLayout& layout = reader->layout_;
  layout.num_tiles = static_cast<int64_t>(header.Take<uint64_t>());
  layout.num_ids = static_cast<int64_t>(header.Take<uint64_t>());
  for (size_t i = 0; i < layers * kNumLoraModules; ++i) {
    LoraModuleEntry entry;
    entry.rank = header.Take<int32_t>();
    entry.scale = header.Take<float>();
    entry.a_tile = header.Take<int32_t>();
    entry.b_tile = header.Take<int32_t>();
    entry.bias_tile = header.Take<int32_t>();
    layout.modules.push_back(entry);
  }
  for (size_t i = 0; i <= layers; ++i) {
    layout.layer_tiles_begin.push_back(static_cast<int64_t>(header.Take<uint64_t>()));
  }
  reader->tiles_offset_ = HeaderBytes(layers);
  reader->file_ = std::move(file);
  return reader;
}

absl::Status ImageReader::ReadLayer(int layer, std::span<const int32_t> cells,
                                    const PoolView& pool) const {
  const int64_t tile_bytes = kernels::TileBytes(pool.dtype);
  int64_t at = layout_.layer_tiles_begin[static_cast<size_t>(layer)] * tile_bytes;
  const int64_t end = layout_.layer_tiles_begin[static_cast<size_t>(layer) + 1] * tile_bytes;
  const int64_t cell_bytes = pool.cell_bytes();
  uint32_t crc = 0;
  while (at < end) {
    const auto first = static_cast<size_t>(at / cell_bytes);
    int64_t run_end = (at / cell_bytes + 1) * cell_bytes;
    for (size_t k = first; run_end < end && run_end - at < static_cast<int64_t>(kReadSlice) &&
                           cells[k + 1] == cells[k] + 1;
         ++k) {
      run_end += cell_bytes;
    }
    const int64_t size = std::min({run_end, end, at + static_cast<int64_t>(kReadSlice)}) - at;
    const std::span<std::byte> out(pool.CellAddress(cells[first]) + at % cell_bytes,
                                   static_cast<size_t>(size));
    CHORUS_RETURN_IF_ERROR(file_->Read(tiles_offset_ + static_cast<uint64_t>(at), out));
    crc = Crc32c(crc, out);
    at += size;
  }
  if (crc != layer_crc_[static_cast<size_t>(layer)]) {
    return Torn(absl::StrCat("layer ", layer, "'s checksum differs"));
  }
  return absl::OkStatus();
}

}  // namespace chorus::engine
