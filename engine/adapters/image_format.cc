#include "engine/adapters/image_format.h"

#include <openssl/sha.h>

#include <bit>
#include <cstring>
#include <limits>

#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/lora/tiles.h"

namespace chorus::engine {
namespace {

using kernels::kNumLoraModules;
using kernels::LoraModuleEntry;

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::array<char, 8> kMagic = {'C', 'H', 'O', 'R', 'U', 'S', 'I', 'M'};
constexpr size_t kFingerprintAt = 8;  // behind the magic
constexpr size_t kLayersAt = 72;      // behind the digest
constexpr uint32_t kMaxLayers = 4096;

constexpr size_t HeaderBytes(size_t layers) {
  const size_t modules = layers * kNumLoraModules * (4 * sizeof(int32_t) + sizeof(float));
  return kernels::RoundUp<size_t>(kImagePrefixBytes + modules + (layers + 1) * sizeof(uint64_t),
                                  64);
}

class Packer {
 public:
  explicit Packer(size_t bytes) : bytes_(bytes) {}

  template <class T>
  void Put(const T& value) {
    CHORUS_CHECK_LE(at_ + sizeof(T), bytes_.size());
    std::memcpy(bytes_.data() + at_, &value, sizeof(T));
    at_ += sizeof(T);
  }
  std::vector<std::byte> Take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
  size_t at_ = 0;
};

class Unpacker {
 public:
  explicit Unpacker(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <class T>
  T Take() {
    CHORUS_CHECK_LE(sizeof(T), bytes_.size());
    T value;
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
};

// Tables that agree with a checksum may still be of a broken writer, and kernels trust them.
bool IsConsistent(const ImageLayout& layout) {
  if (layout.num_tiles < 0 || layout.num_tiles > std::numeric_limits<int32_t>::max() ||
      layout.num_ids < 0 || layout.layer_tiles_begin.front() != 0 ||
      layout.layer_tiles_begin.back() != layout.num_tiles) {
    return false;
  }
  for (size_t layer = 0; layer + 1 < layout.layer_tiles_begin.size(); ++layer) {
    const int64_t begin = layout.layer_tiles_begin[layer];
    const int64_t end = layout.layer_tiles_begin[layer + 1];
    if (begin > end) return false;
    for (size_t module = 0; module < kNumLoraModules; ++module) {
      const LoraModuleEntry& entry = layout.modules[layer * kNumLoraModules + module];
      if (entry.rank < 0 || entry.rank > kernels::kMaxLoraRank) return false;
      if (entry.rank == 0) continue;
      const bool inside = begin <= entry.a_tile && entry.a_tile < entry.b_tile &&
                          entry.b_tile < end && entry.bias_tile < end;
      if (!inside) return false;
    }
  }
  return true;
}

absl::Status NoImage(const char* why) {
  return absl::DataLossError(std::string("adapter image: ") + why);
}

}  // namespace

FingerprintHash HashFingerprint(const std::string& fingerprint) {
  FingerprintHash hash;
  SHA256(reinterpret_cast<const unsigned char*>(fingerprint.data()), fingerprint.size(),
         hash.data());
  return hash;
}

std::vector<std::byte> PackImageHeader(const ImageHeader& header) {
  Packer packer(HeaderBytes(header.num_layers()));
  packer.Put(kMagic);
  packer.Put(header.fingerprint);
  packer.Put(header.digest.bytes);
  packer.Put(static_cast<uint32_t>(header.num_layers()));
  packer.Put(header.tile_bytes);
  packer.Put(static_cast<uint64_t>(header.layout.num_tiles));
  packer.Put(static_cast<uint64_t>(header.layout.num_ids));
  for (const LoraModuleEntry& entry : header.layout.modules) {
    packer.Put(entry.rank);
    packer.Put(entry.scale);
    packer.Put(entry.a_tile);
    packer.Put(entry.b_tile);
    packer.Put(entry.bias_tile);
  }
  for (const int64_t begin : header.layout.layer_tiles_begin) {
    packer.Put(static_cast<uint64_t>(begin));
  }
  return packer.Take();
}

FingerprintHash FingerprintIn(std::span<const std::byte> prefix) {
  return Unpacker(prefix.subspan(kFingerprintAt)).Take<FingerprintHash>();
}

absl::StatusOr<size_t> ImageHeaderBytes(std::span<const std::byte> prefix) {
  if (Unpacker(prefix).Take<std::array<char, 8>>() != kMagic) return NoImage("not one");
  const auto layers = Unpacker(prefix.subspan(kLayersAt)).Take<uint32_t>();
  if (layers == 0 || layers > kMaxLayers) return NoImage("broken number of layers");
  return HeaderBytes(layers);
}

absl::StatusOr<ImageHeader> UnpackImageHeader(std::span<const std::byte> bytes) {
  Unpacker unpacker(bytes);
  unpacker.Take<std::array<char, 8>>();
  ImageHeader header;
  header.fingerprint = unpacker.Take<FingerprintHash>();
  header.digest.bytes = unpacker.Take<std::array<uint8_t, 32>>();
  const auto layers = unpacker.Take<uint32_t>();
  CHORUS_CHECK_EQ(bytes.size(), HeaderBytes(layers));
  header.tile_bytes = unpacker.Take<uint32_t>();
  ImageLayout& layout = header.layout;
  layout.num_tiles = static_cast<int64_t>(unpacker.Take<uint64_t>());
  layout.num_ids = static_cast<int64_t>(unpacker.Take<uint64_t>());
  layout.modules.resize(size_t{layers} * kNumLoraModules);
  for (LoraModuleEntry& entry : layout.modules) {
    entry.rank = unpacker.Take<int32_t>();
    entry.scale = unpacker.Take<float>();
    entry.a_tile = unpacker.Take<int32_t>();
    entry.b_tile = unpacker.Take<int32_t>();
    entry.bias_tile = unpacker.Take<int32_t>();
  }
  for (size_t i = 0; i <= layers; ++i) {
    layout.layer_tiles_begin.push_back(static_cast<int64_t>(unpacker.Take<uint64_t>()));
  }
  if (!IsConsistent(layout)) return NoImage("its tables contradict one another");
  return header;
}

}  // namespace chorus::engine
