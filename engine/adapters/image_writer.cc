#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/adapters/adapter_image.h"
#include "engine/adapters/crc32c.h"
#include "engine/adapters/image_format.h"
#include "engine/adapters/peft_tensors.h"
#include "engine/adapters/tensor_values.h"
#include "engine/refusal.h"
#include "kernels/check.h"
#include "kernels/lora/tiles.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DType;
using kernels::kTileElements;
using kernels::kTileRanks;
using kernels::kTileWidth;

using Append = absl::FunctionRef<absl::Status(std::span<const std::byte>)>;

// Where an element of a tile lies, by its place along the width and its rank.
using TileIndex = int32_t (*)(int32_t wide, int32_t rank);

// A matrix in a file: element (r, w) is at r · rank_stride + w · width_stride.
struct Matrix {
  int64_t rank = 0;
  int64_t width = 0;
  int64_t rank_stride = 0;
  int64_t width_stride = 0;
};

// Appends a matrix to `out` as the tiles of one of rank `padded`. Tails stay zero.
template <class Element>
void AppendTiles(const Element* source, const Matrix& matrix, int64_t padded, TileIndex index,
                 std::vector<std::byte>* out) {
  const auto [rank, width, rank_stride, width_stride] = matrix;
  const size_t begin = out->size();
  out->resize(begin + static_cast<size_t>(kernels::MatrixTiles(width, padded)) * kTileElements *
                          sizeof(Element));
  auto* tile = reinterpret_cast<Element*>(out->data() + begin);
  for (int64_t block = 0; block < width; block += kTileWidth) {
    const int64_t block_width = std::min<int64_t>(kTileWidth, width - block);
    for (int64_t first = 0; first < padded; first += kTileRanks, tile += kTileElements) {
      for (int64_t r = 0; r < std::min<int64_t>(kTileRanks, rank - first); ++r) {
        const Element* const row = source + (first + r) * rank_stride + block * width_stride;
        for (int64_t w = 0; w < block_width; ++w) {
          tile[index(static_cast<int32_t>(w), static_cast<int32_t>(r))] = row[w * width_stride];
        }
      }
    }
  }
}

// Builds the tiles of one layer after the other in the pool's type.
class LayerTiles {
 public:
  LayerTiles(const ByteSource& file, const ImageTarget& target)
      : file_(file),
        target_(target),
        dtype_(target.geometry.dtype),
        b_index_(target.geometry.b_tiles == kernels::BTileOrder::kFragments
                     ? kernels::DeviceBTileIndex
                     : kernels::RankRowIndex) {}

  const std::vector<std::byte>& bytes() const { return bytes_; }
  void Clear() { bytes_.clear(); }
  int64_t rounded_tensors() const { return rounded_tensors_; }
  int64_t tensors() const { return tensors_; }

  absl::Status Add(const AdapterModule& module) {
    const ModelConfig::LinearShape shape = target_.model.linear(module.module);
    CHORUS_RETURN_IF_ERROR(Read(module, LoraPart::kA, module.a));
    AddMatrix({module.rank, shape.inputs, shape.inputs, 1}, kernels::RankRowIndex);
    CHORUS_RETURN_IF_ERROR(Read(module, LoraPart::kB, module.b));
    AddMatrix({module.rank, shape.outputs, 1, module.rank}, b_index_);
    if (!module.bias.has_value()) return absl::OkStatus();
    CHORUS_RETURN_IF_ERROR(Read(module, LoraPart::kBias, *module.bias));
    bytes_.insert(bytes_.end(), converted_.begin(), converted_.end());
    const int64_t tail = kernels::VectorTiles(shape.outputs) * kTileElements - shape.outputs;
    bytes_.resize(bytes_.size() + static_cast<size_t>(tail * kernels::ByteSize(dtype_)));
    return absl::OkStatus();
  }

 private:
  // Leaves a tensor in `converted_`.
  absl::Status Read(const AdapterModule& module, LoraPart part, const TensorSpan& tensor) {
    stored_.resize(tensor.bytes);
    CHORUS_RETURN_IF_ERROR(file_.Read(tensor.offset, stored_));
    const auto count = tensor.bytes / static_cast<uint64_t>(kernels::ByteSize(tensor.dtype));
    converted_.resize(count * static_cast<uint64_t>(kernels::ByteSize(dtype_)));
    const Conversion result = ConvertElements(stored_, tensor.dtype, converted_, dtype_);
    if (result.overflow.has_value()) {
      return Refuse(Reason::kAdapterNotFinite, LoraTensorText(module.layer, module.module, part),
                    absl::StrCat("values that fit ", std::string(kernels::Name(dtype_))),
                    absl::StrCat(ElementAt(stored_, tensor.dtype, *result.overflow), " at element ",
                                 *result.overflow));
    }
    ++tensors_;
    if (result.inexact > 0) ++rounded_tensors_;
    return absl::OkStatus();
  }

  void AddMatrix(const Matrix& matrix, TileIndex index) {
    const int64_t padded = std::max<int64_t>(matrix.rank, target_.pad_rank);
    if (kernels::ByteSize(dtype_) == 4) {
      AppendTiles(reinterpret_cast<const uint32_t*>(converted_.data()), matrix, padded, index,
                  &bytes_);
    } else {
      AppendTiles(reinterpret_cast<const uint16_t*>(converted_.data()), matrix, padded, index,
                  &bytes_);
    }
  }

  const ByteSource& file_;
  const ImageTarget& target_;
  const DType dtype_;
  const TileIndex b_index_;
  std::vector<std::byte> stored_;
  std::vector<std::byte> converted_;
  std::vector<std::byte> bytes_;
  int64_t tensors_ = 0;
  int64_t rounded_tensors_ = 0;
};

template <class T>
absl::Status AppendValues(const std::vector<T>& values, Append append) {
  return append(std::as_bytes(std::span(values)));
}

}  // namespace

absl::Status WriteImage(const AdapterSpec& spec, const ByteSource& tensors,
                        const ImageTarget& target, Append append,
                        std::vector<std::string>* warnings) {
  ImageHeader header;
  header.fingerprint = HashFingerprint(ImageFingerprint(target));
  header.digest = spec.digest;
  header.tile_bytes = static_cast<uint32_t>(kernels::TileBytes(target.geometry.dtype));
  header.layout = ImageLayout::Make(spec, target);
  const std::vector<std::byte> packed = PackImageHeader(header);
  CHORUS_RETURN_IF_ERROR(append(packed));
  std::vector<uint32_t> checksums;
  LayerTiles tiles(tensors, target);
  auto module = spec.modules.begin();
  for (int32_t layer = 0; layer < target.model.layers; ++layer) {
    tiles.Clear();
    for (; module != spec.modules.end() && module->layer == layer; ++module) {
      CHORUS_RETURN_IF_ERROR(tiles.Add(*module));
    }
    const auto& begins = header.layout.layer_tiles_begin;
    const auto index = static_cast<size_t>(layer);
    CHORUS_CHECK_EQ(static_cast<int64_t>(tiles.bytes().size()),
                    (begins[index + 1] - begins[index]) * int64_t{header.tile_bytes});
    checksums.push_back(Crc32c(0, tiles.bytes()));
    CHORUS_RETURN_IF_ERROR(append(tiles.bytes()));
  }
  checksums.push_back(Crc32c(0, packed));
  CHORUS_RETURN_IF_ERROR(AppendValues(checksums, append));
  if (tiles.rounded_tensors() > 0 && warnings != nullptr) {
    warnings->push_back(absl::StrCat("precision was lost: ", tiles.rounded_tensors(), " of ",
                                     tiles.tensors(), " tensors were rounded to ",
                                     std::string(kernels::Name(target.geometry.dtype))));
  }
  return absl::OkStatus();
}

}  // namespace chorus::engine
