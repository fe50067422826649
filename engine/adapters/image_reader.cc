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

absl::Status ImageReader::ReadLayer(int layer, Place place) const {
  const auto index = static_cast<size_t>(layer);
  const int64_t end = layout_.layer_tiles_begin[index + 1] * tile_bytes_;
  uint32_t crc = 0;
  for (int64_t at = layout_.layer_tiles_begin[index] * tile_bytes_; at < end;) {
    const std::span<std::byte> run = place(at, std::min(end - at, kReadSlice));
    CHORUS_RETURN_IF_ERROR(file_->Read(tiles_offset_ + static_cast<uint64_t>(at), run));
    crc = Crc32c(crc, run);
    at += static_cast<int64_t>(run.size());
  }
  if (crc != layer_crc_[index]) {
    return Torn(absl::StrCat("the checksum of layer ", layer, " differs"));
  }
  return absl::OkStatus();
}

absl::Status ImageReader::ReadLayer(int layer, std::span<const int32_t> cells,
                                    const kernels::PoolView& pool) const {
  CHORUS_CHECK_EQ(tile_bytes_, kernels::TileBytes(pool.dtype));
  const CellRuns runs(pool, cells);
  return ReadLayer(layer, [&](int64_t offset, int64_t bytes) { return runs.At(offset, bytes); });
}

}  // namespace chorus::engine
