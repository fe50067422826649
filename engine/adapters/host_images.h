// HostImages: adapters as their tiles in pinned memory of the host, from where a device takes them
// without a file in sight. One arena, taken at start, in chunks; what nobody copies from is given
// up when room is needed, the least recently used first. Thread-safe. The device must outlive it,
// and it all images.
#ifndef CHORUS_ENGINE_ADAPTERS_HOST_IMAGES_H_
#define CHORUS_ENGINE_ADAPTERS_HOST_IMAGES_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/adapters/adapter_spec.h"
#include "kernels/device/device.h"
#include "kernels/mutex.h"

namespace chorus::engine {

class HostImages {
 public:
  // One tenant's content, for the reason that Residency gives.
  using Key = std::pair<std::string, AdapterDigest>;

  // Chunks of the arena, until it goes.
  class Image {
   public:
    ~Image();
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;

    // The run that begins at byte `offset`: not empty, at most `bytes`. REQUIRES: within the bytes
    // that were asked for.
    std::span<std::byte> At(int64_t offset, int64_t bytes) const;

   private:
    friend class HostImages;
    Image(HostImages* owner, std::vector<std::byte*> chunks)
        : owner_(owner), chunks_(std::move(chunks)) {}

    HostImages* const owner_;
    const std::vector<std::byte*> chunks_;
  };
  // Shared by the table and the loads that copy from it.
  using ImageRef = std::shared_ptr<const Image>;

  // `bytes` are rounded up to whole chunks. ResourceExhausted when the host does not have them.
  static absl::StatusOr<std::unique_ptr<HostImages>> Create(kernels::Device* device, int64_t bytes,
                                                            int64_t chunk_bytes);

  // Null when it is not here.
  ImageRef Find(const Key& key) CHORUS_EXCLUDES(mutex_);
  // Room for `bytes`, with contents undefined. Waits while loads hold what it needs; Cancelled soon
  // after `cancelled` says so. ResourceExhausted when the arena is smaller.
  absl::StatusOr<ImageRef> Make(int64_t bytes, absl::FunctionRef<bool()> cancelled)
      CHORUS_EXCLUDES(mutex_, making_);
  // From now on Find finds it.
  void Keep(const Key& key, ImageRef image) CHORUS_EXCLUDES(mutex_);
  void Forget(const Key& key) CHORUS_EXCLUDES(mutex_);

  int64_t total_bytes() const { return arena_.bytes(); }

 private:
  struct Kept {
    Key key;
    ImageRef image;
  };

  HostImages(kernels::DeviceBuffer arena, int64_t chunk_bytes);

  // The one to give up next, out of the table; null when loads hold them all.
  ImageRef TakeIdle() CHORUS_REQUIRES(mutex_);

  const kernels::DeviceBuffer arena_;
  const int64_t chunk_bytes_;
  kernels::Mutex making_;  // one makes room at a time: what it frees is not taken by another
  kernels::Mutex mutex_;
  kernels::CondVar freed_;
  std::vector<std::byte*> free_ CHORUS_GUARDED_BY(mutex_);
  std::list<Kept> kept_ CHORUS_GUARDED_BY(mutex_);  // the most recently used first
  absl::flat_hash_map<Key, std::list<Kept>::iterator> index_ CHORUS_GUARDED_BY(mutex_);
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_HOST_IMAGES_H_
