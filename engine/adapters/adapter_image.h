// AdapterImage: an adapter as its tiles, in the order in which they fill pool cells, so that a load
// is reads of long runs and nothing is converted. A cache beside the stored original: rebuilt when
// its fingerprint (format, shapes, tile, type, rank of how many) differs.
//
//   for layer in 0 … L-1, for module in q … down with rank > 0:  A tiles, B tiles, bias tiles
//
// Tile t lies in cell t / tiles_per_cell of the lease, whose cells are taken slab by slab, ids
// ascending: cell k is slab k / num_ids, id ids[k % num_ids].
#ifndef CHORUS_ENGINE_ADAPTERS_ADAPTER_IMAGE_H_
#define CHORUS_ENGINE_ADAPTERS_ADAPTER_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/adapters/adapter_spec.h"
#include "engine/model/byte_source.h"
#include "engine/model/model_config.h"
#include "engine/model/runner.h"
#include "kernels/device/pool_view.h"
#include "kernels/lora/slots.h"

namespace chorus::engine {

// Everything that an image depends on beside the adapter.
struct ImageTarget {
  ModelConfig model;
  Shard shard;
  // Slabs, kv heads, head_dim, type and order of B tiles; its base and num_ids are not looked at.
  kernels::PoolView geometry;
  // Modules of a smaller rank are kept and computed at this one, the rest of it zeros. For benches.
  int32_t pad_rank = 0;
};

// Where an adapter's tiles lie and how many pages they need: a pure function of ranks and widths.
struct ImageLayout {
  std::vector<kernels::LoraModuleEntry> modules;  // [layers * kNumLoraModules]
  std::vector<int64_t> layer_tiles_begin;         // [layers + 1] tile offsets
  int64_t num_tiles = 0;
  int64_t num_ids = 0;  // pages to lease

  static ImageLayout Make(const AdapterSpec& spec, const ImageTarget& target);
};

// The cells of a lease of `ids` (ascending) in fill order, `count` of them.
std::vector<int32_t> CellsInFillOrder(std::span<const int32_t> ids, int64_t num_cells,
                                      const kernels::PoolView& pool);

// The bytes of an adapter's tiles where they lie in a pool. Cells that follow one another there are
// one run.
class CellRuns {
 public:
  // `cells` in fill order; they and the pool's memory, a host's or a device's, are borrowed.
  CellRuns(const kernels::PoolView& pool, std::span<const int32_t> cells)
      : pool_(pool), cells_(cells) {}

  // The run that begins at byte `offset` of the tiles: not empty, at most `bytes`. REQUIRES: bytes
  // [offset, offset + bytes) lie in the cells, bytes > 0.
  std::span<std::byte> At(int64_t offset, int64_t bytes) const;

 private:
  const kernels::PoolView pool_;
  const std::span<const int32_t> cells_;
};

// Identifies what an image was made for; equal fingerprints mean interchangeable images.
std::string ImageFingerprint(const ImageTarget& target);

// Writes the image of a validated adapter through `append`, one layer at a time. InvalidArgument,
// naming the tensor and the element, for a value that overflows in the pool's type; a line in
// `warnings` (which may be null) when precision is lost.
absl::Status WriteImage(const AdapterSpec& spec, const ByteSource& tensors,
                        const ImageTarget& target,
                        absl::FunctionRef<absl::Status(std::span<const std::byte>)> append,
                        std::vector<std::string>* warnings);

// An image opened for loading. Thread-safe.
class ImageReader {
 public:
  // FailedPrecondition when the fingerprint differs (rebuild it), DataLoss when it is torn.
  static absl::StatusOr<std::unique_ptr<ImageReader>> Open(std::unique_ptr<ByteSource> file,
                                                           const std::string& fingerprint);

  const ImageLayout& layout() const { return layout_; }
  const AdapterDigest& digest() const { return digest_; }
  int num_layers() const { return static_cast<int>(layout_.layer_tiles_begin.size()) - 1; }

  // Reads the tiles of one layer in slices of at most 256 KiB, and checks their CRC-32C. `place`
  // says where `bytes` from byte `offset` of the tiles on go, or the first of them. DataLoss when
  // the checksum differs or the file ends.
  using Place = absl::FunctionRef<std::span<std::byte>(int64_t offset, int64_t bytes)>;
  absl::Status ReadLayer(int layer, Place place) const;
  // Straight into their cells. REQUIRES: `cells` are the lease's in fill order, and `pool`, in the
  // host's memory, is of the geometry that the fingerprint names.
  absl::Status ReadLayer(int layer, std::span<const int32_t> cells,
                         const kernels::PoolView& pool) const;

 private:
  ImageReader() = default;

  std::unique_ptr<ByteSource> file_;
  ImageLayout layout_;
  AdapterDigest digest_;
  uint64_t tiles_offset_ = 0;  // of tile 0 in the file
  int64_t tile_bytes_ = 0;
  std::vector<uint32_t> layer_crc_;  // [layers]
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_ADAPTER_IMAGE_H_
