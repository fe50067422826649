// StoredVersion: the AdapterVersion of the durable catalog. It holds its objects and its image in
// the store; when the last user lets go, they become garbage unless a manifest still names them.
#ifndef CHORUS_ENGINE_ADAPTERS_STORED_VERSION_H_
#define CHORUS_ENGINE_ADAPTERS_STORED_VERSION_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_version.h"
#include "engine/adapters/catalog.h"
#include "engine/adapters/directory_store.h"
#include "engine/adapters/image_cache.h"
#include "kernels/mutex.h"

namespace chorus::engine {

// The store with its images, and what versions report from whichever thread they are on. Shared by
// the catalog and all versions, because requests may hold a version longer than the catalog lives.
// Thread-safe.
class VersionStore {
 public:
  VersionStore(std::unique_ptr<DirectoryStore> store, std::unique_ptr<ImageCache> images)
      : store_(std::move(store)), images_(std::move(images)) {}

  DirectoryStore& store() const { return *store_; }
  ImageCache& images() const { return *images_; }

  // What happened to versions since the last call, for the catalog's background thread.
  struct Reports {
    std::vector<AdapterInfo> ended;  // nobody holds these any more; their garbage may be collected
    std::vector<AdapterInfo> damaged;
  };
  void ReportEnd(AdapterInfo info);
  void ReportDamage(AdapterInfo info);
  Reports TakeReports();

  // Blocks until there is a report, `timeout` passed or Interrupt was called.
  void WaitForReports(absl::Duration timeout);
  void Interrupt();

 private:
  const std::unique_ptr<DirectoryStore> store_;
  const std::unique_ptr<ImageCache> images_;
  kernels::Mutex mutex_;
  kernels::CondVar changed_;
  Reports reports_ CHORUS_GUARDED_BY(mutex_);
  bool interrupted_ CHORUS_GUARDED_BY(mutex_) = false;
};

// Thread-safe.
class StoredVersion : public AdapterVersion {
 public:
  // `info` as it is published; its state is looked at no more.
  StoredVersion(std::shared_ptr<VersionStore> store, AdapterInfo info, ImageLayout layout,
                ObjectRef config, ObjectRef tensors, ObjectRef image);
  ~StoredVersion() override;

  absl::StatusOr<std::unique_ptr<ImageReader>> OpenImage() const override;

  const AdapterInfo& info() const { return info_; }
  bool UsesObject(const std::string& sha256) const;
  bool damaged() const { return damaged_.load(std::memory_order_relaxed); }
  void SetDamaged() const { damaged_.store(true, std::memory_order_relaxed); }

 private:
  absl::StatusOr<std::unique_ptr<ImageReader>> Rebuild() const;
  absl::StatusOr<std::unique_ptr<ByteSource>> OpenVerified(const ObjectRef& object) const;

  const std::shared_ptr<VersionStore> store_;
  const AdapterInfo info_;
  ObjectRef config_;
  ObjectRef tensors_;
  ObjectRef image_;
  mutable std::atomic<bool> damaged_{false};
  mutable kernels::Mutex rebuild_mutex_;  // one thread rebuilds, the others find its work
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_STORED_VERSION_H_
