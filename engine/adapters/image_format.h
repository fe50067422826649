// The file of an adapter image, little-endian:
//
//   image   := header tile* trailer
//   header  := "CHORUSIM" fingerprint:32·byte digest:32·byte
//              layers:u32 tile_bytes:u32 num_tiles:u64 num_ids:u64
//              module[layers · 7] layer_tiles_begin[layers + 1]:u64, zeros up to a multiple of 64
//   module  := rank:i32 scale:f32 a_tile:i32 b_tile:i32 bias_tile:i32
//   trailer := layer_crc[layers]:u32 header_crc:u32
//
// The fingerprint is the SHA-256 of ImageFingerprint(); checksums are CRC-32C, a layer's over its
// tiles. The file ends with the trailer.
#ifndef CHORUS_ENGINE_ADAPTERS_IMAGE_FORMAT_H_
#define CHORUS_ENGINE_ADAPTERS_IMAGE_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_image.h"

namespace chorus::engine {

using FingerprintHash = std::array<uint8_t, 32>;
FingerprintHash HashFingerprint(const std::string& fingerprint);

struct ImageHeader {
  FingerprintHash fingerprint{};
  AdapterDigest digest;
  uint32_t tile_bytes = 0;
  ImageLayout layout;

  size_t num_layers() const { return layout.layer_tiles_begin.size() - 1; }
};

// The part before the tables, enough to tell how long the header is.
inline constexpr size_t kImagePrefixBytes = 96;

std::vector<std::byte> PackImageHeader(const ImageHeader& header);
// Whose layout an image that begins so was made for. REQUIRES: kImagePrefixBytes.
FingerprintHash FingerprintIn(std::span<const std::byte> prefix);
// How long the header is that begins so. DataLoss when it is none.
absl::StatusOr<size_t> ImageHeaderBytes(std::span<const std::byte> prefix);
// DataLoss when the tables contradict one another. REQUIRES: ImageHeaderBytes() bytes.
absl::StatusOr<ImageHeader> UnpackImageHeader(std::span<const std::byte> bytes);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_IMAGE_FORMAT_H_
