#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/adapters/adapter_image.h"
#include "engine/adapters/crc32c.h"
#include "engine/adapters/image_format.h"
#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/lora/tiles.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

// So that a load never takes a core or the caches from the step for long.
constexpr int64_t kReadSlice = int64_t{256} << 10;

absl::Status Torn(const std::string& what) {
  return absl::DataLossError(absl::StrCat("adapter image: ", what));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ImageReader>> ImageReader::Open(std::unique_ptr<ByteSource> file,
                                                               const std::string& fingerprint) {
  std::vector<std::byte> bytes(kImagePrefixBytes);
  CHORUS_RETURN_IF_ERROR(file->Read(0, bytes));
  CHORUS_ASSIGN_OR_RETURN(const size_t header_bytes, ImageHeaderBytes(bytes));
  // Before the rest is looked at: another format has another fingerprint.
  if (FingerprintIn(bytes) != HashFingerprint(fingerprint)) {
    return absl::FailedPreconditionError("adapter image: made for another layout");
  }
  if (file->size() < header_bytes) return Torn("ends within its header");
  bytes.resize(header_bytes);
  CHORUS_RETURN_IF_ERROR(file->Read(0, bytes));
  const absl::StatusOr<ImageHeader> header = UnpackImageHeader(bytes);
  CHORUS_RETURN_IF_ERROR(header.status());
  std::vector<uint32_t> checksums(header->num_layers() + 1);
  const uint64_t tiles_end =
      header_bytes + static_cast<uint64_t>(header->layout.num_tiles) * uint64_t{header->tile_bytes};
  const uint64_t size = tiles_end + checksums.size() * sizeof(uint32_t);
  if (file->size() != size) {
    return Torn(absl::StrCat("expected ", size, " bytes, got ", file->size()));
  }
  CHORUS_RETURN_IF_ERROR(file->Read(tiles_end, std::as_writable_bytes(std::span(checksums))));
  if (checksums.back() != Crc32c(0, bytes)) return Torn("the checksum of the header differs");
  checksums.pop_back();

  auto reader = std::unique_ptr<ImageReader>(new ImageReader);
  reader->file_ = std::move(file);
  reader->layout_ = header->layout;
  reader->digest_ = header->digest;
  reader->tiles_offset_ = header_bytes;
  reader->tile_bytes_ = header->tile_bytes;
  reader->layer_crc_ = std::move(checksums);
  return reader;
}

absl::Status ImageReader::ReadLayer(int layer, std::span<const int32_t> cells,
                                    const kernels::PoolView& pool) const {
  CHORUS_CHECK_EQ(tile_bytes_, kernels::TileBytes(pool.dtype));
  const auto index = static_cast<size_t>(layer);
  int64_t at = layout_.layer_tiles_begin[index] * tile_bytes_;
  const int64_t end = layout_.layer_tiles_begin[index + 1] * tile_bytes_;
  const int64_t cell_bytes = pool.cell_bytes();
  CHORUS_CHECK_LE(kernels::CeilDiv(end, cell_bytes), static_cast<int64_t>(cells.size()));
  uint32_t crc = 0;
  while (at < end) {
    // Cells that follow one another in the pool are one run.
    auto cell = static_cast<size_t>(at / cell_bytes);
    std::byte* const out = pool.CellAddress(cells[cell]) + at % cell_bytes;
    const int64_t stop = std::min(end, at + kReadSlice);
    int64_t run_end = at / cell_bytes * cell_bytes + cell_bytes;
    for (; run_end < stop && cells[cell + 1] == cells[cell] + 1; ++cell) run_end += cell_bytes;
    const std::span<std::byte> run(out, static_cast<size_t>(std::min(run_end, stop) - at));
    CHORUS_RETURN_IF_ERROR(file_->Read(tiles_offset_ + static_cast<uint64_t>(at), run));
    crc = Crc32c(crc, run);
    at += static_cast<int64_t>(run.size());
  }
  if (crc != layer_crc_[index]) {
    return Torn(absl::StrCat("the checksum of layer ", layer, " differs"));
  }
  return absl::OkStatus();
}

}  // namespace chorus::engine
