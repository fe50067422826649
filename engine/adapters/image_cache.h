// ImageCache: adapter images beside the store, images/FINGERPRINT/DIGEST. A cache: written without
// fsync and renamed into place, made again from the stored original when one is missing, torn or
// made for another layout. Failing to write it never fails anything else.
#ifndef CHORUS_ENGINE_ADAPTERS_IMAGE_CACHE_H_
#define CHORUS_ENGINE_ADAPTERS_IMAGE_CACHE_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_image.h"
#include "engine/adapters/directory_store.h"
#include "engine/adapters/object_table.h"
#include "kernels/mutex.h"

namespace chorus::engine {

// Thread-safe.
class ImageCache {
 public:
  // Removes images made for other targets and, of this one, those not in `live`. The store outlives
  // the cache.
  static absl::StatusOr<std::unique_ptr<ImageCache>> Open(DirectoryStore* store, ImageTarget target,
                                                          const std::set<AdapterDigest>& live);

  const ImageTarget& target() const { return target_; }

  // Keeps the digest's image from being collected.
  ObjectRef Use(const AdapterDigest& digest) { return uses_.Add({digest.Hex(), 0}); }

  // Makes the image of a validated adapter; what WriteImage refuses is refused.
  absl::Status Write(const AdapterSpec& spec, const ByteSource& tensors,
                     std::vector<std::string>* warnings);
  // Any error means: make it again. The first opening in a process reads the whole image, because
  // a power cut may have torn it.
  absl::StatusOr<std::unique_ptr<ImageReader>> Read(const AdapterDigest& digest);
  // For when the cache cannot be written.
  absl::StatusOr<std::unique_ptr<ImageReader>> MakeInMemory(const AdapterSpec& spec,
                                                            const ByteSource& tensors) const;

  // Unlinks the images that nobody uses. Returns how many.
  int64_t CollectGarbage();

 private:
  ImageCache(DirectoryStore* store, ImageTarget target);

  absl::Status Sweep(const std::set<AdapterDigest>& live);
  std::string PathOf(const AdapterDigest& digest) const;
  absl::Status ReadThrough(const ImageReader& reader) const;

  DirectoryStore* const store_;
  const ImageTarget target_;
  const std::string fingerprint_;
  const std::string directory_;
  ObjectTable uses_;
  kernels::Mutex mutex_;
  std::set<AdapterDigest> whole_ CHORUS_GUARDED_BY(mutex_);  // written or read through by us
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_IMAGE_CACHE_H_
