// StoredCatalog: the catalog over a DirectoryStore. Names, versions and pins are durable before a
// call returns; then they are published.
//
// Two locks: `commit_mutex_` is held across the durable write of a manifest and orders all changes;
// `mutex_` guards what readers see and is never held during one. A background thread collects
// garbage and scrubs.
#ifndef CHORUS_ENGINE_ADAPTERS_STORED_CATALOG_H_
#define CHORUS_ENGINE_ADAPTERS_STORED_CATALOG_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/catalog.h"
#include "engine/adapters/catalog_history.h"
#include "engine/adapters/file_system.h"
#include "engine/adapters/image_cache.h"
#include "engine/adapters/store_recovery.h"
#include "engine/adapters/store_scrubber.h"
#include "engine/adapters/stored_version.h"
#include "engine/clock.h"
#include "kernels/mutex.h"

namespace chorus::engine {

struct CatalogLimits {
  uint64_t max_config_bytes = uint64_t{1} << 20;
  uint64_t max_tensor_bytes = uint64_t{4} << 30;
  int64_t max_adapters_per_tenant = 10000;
  uint64_t max_bytes_per_tenant = uint64_t{256} << 30;
  int max_uploads = 16;
  int max_uploads_per_tenant = 8;
  size_t max_history = 8192;      // events for watchers that come back
  size_t max_watch_queue = 1024;  // events that a watcher may lag behind
};

struct CatalogOptions {
  std::string directory;
  ModelConfig model;
  Shard shard;
  kernels::PoolView geometry;  // slabs, kv heads, head_dim and type of the pool
  int32_t pad_rank = 0;        // as ImageTarget has it
  CatalogLimits limits;
  bool allow_volatile = false;                            // a store on tmpfs or overlayfs
  uint64_t reserved_bytes = uint64_t{64} << 20;           // of disk, for manifests and deletes
  std::vector<std::string> reserved_names = {"default"};  // and the base model's
  double scrub_bytes_per_second = 50e6;                   // 0: no scrubbing
  bool background = true;             // false: tests call RunBackground themselves
  std::unique_ptr<FileSystem> files;  // null: that of `directory`
};

class StoredCatalog : public Catalog {
 public:
  // Recovers the store. FailedPrecondition when it was made for a model of another shape or lies on
  // a file system that a restart may empty, Unavailable when another process has it.
  static absl::StatusOr<std::unique_ptr<StoredCatalog>> Open(CatalogOptions options,
                                                             const Clock* clock);
  // REQUIRES: no upload is left. Versions and watches may outlive the catalog.
  ~StoredCatalog() override;

  absl::StatusOr<AdapterRef> Resolve(const std::string& tenant,
                                     const std::string& model) const override;
  absl::StatusOr<AdapterInfo> Get(const std::string& tenant,
                                  const std::string& model) const override;
  std::vector<AdapterInfo> List(const std::string& tenant) const override;
  std::vector<AdapterInfo> ListAfter(const std::string& tenant, const std::string& after,
                                     int limit) const override;
  absl::StatusOr<std::unique_ptr<Upload>> BeginUpload(const UploadRequest& request) override;
  absl::StatusOr<AdapterInfo> Delete(const std::string& tenant, const std::string& name,
                                     std::optional<int64_t> if_version) override;
  absl::StatusOr<AdapterInfo> SetPinned(const std::string& tenant, const std::string& name,
                                        bool pinned, std::optional<int64_t> if_version) override;
  uint64_t revision() const override { return history_.revision(); }
  absl::StatusOr<std::unique_ptr<CatalogWatch>> Watch(const std::string& tenant,
                                                      uint64_t since_revision) override;
  void OnForget(std::function<void(const std::string&, const AdapterDigest&)> forget) override;

  const RecoveryReport& recovery() const { return versions_->store().recovery(); }
  // OK, or why the store refuses to write (a failed fsync).
  absl::Status Writable() const { return versions_->store().Writable(); }

  // What the background thread does: publishes ends and damage, collects garbage, reads a slice of
  // the store. Returns how long there is nothing more to do. One thread at a time.
  absl::Duration RunBackground();

 private:
  friend class StoredUpload;
  struct Entry {
    Manifest manifest;
    std::shared_ptr<const StoredVersion> version;
  };
  struct Tenant {
    std::map<std::string, Entry> names;
    std::map<AdapterDigest, std::set<std::string>> by_digest;  // current names of each
    // Replaced versions that somebody may still use.
    std::map<std::pair<std::string, int64_t>, std::weak_ptr<const StoredVersion>> replaced;
    uint64_t bytes = 0;  // of current versions
    // Announced by uploads under way.
    uint64_t upload_bytes = 0;
    std::multiset<std::string> upload_names;
  };

  StoredCatalog(CatalogOptions options, std::shared_ptr<VersionStore> versions, const Clock* clock);

  absl::Status AddRecovered(std::vector<RecoveredVersion> recovered);
  std::shared_ptr<const StoredVersion> MakeVersion(const Manifest& manifest,
                                                   const AdapterSpec& spec) const;
  void BackgroundLoop();

  // What uploads need (stored_upload.cc).
  absl::Status CheckRequest(const UploadRequest& request) const;
  absl::Status ReserveUpload(const UploadRequest& request);
  void ReleaseUpload(const UploadRequest& request) CHORUS_EXCLUDES(mutex_);
  void Unreserve(const UploadRequest& request) CHORUS_REQUIRES(mutex_);
  // The current version when `spec` is a retry of it; refuses when if_version says so.
  absl::StatusOr<std::optional<AdapterInfo>> FindRetry(const UploadRequest& request,
                                                       const AdapterDigest& digest) const;
  // REQUIRES: the caller holds refs of both objects.
  absl::StatusOr<AdapterInfo> CommitVersion(const UploadRequest& request, const AdapterSpec& spec,
                                            ObjectName config, ObjectName tensors);

  const Entry* FindEntry(const std::string& tenant, const std::string& name) const
      CHORUS_REQUIRES(mutex_);
  // PermissionDenied for an adapter that is only shared with the tenant.
  absl::StatusOr<const Entry*> FindOwn(const std::string& tenant, const std::string& name) const
      CHORUS_REQUIRES(mutex_);
  std::shared_ptr<const StoredVersion> FindVersion(const std::string& tenant,
                                                   const std::string& model) const
      CHORUS_REQUIRES(mutex_);
  absl::Status CheckQuota(const UploadRequest& request) const CHORUS_REQUIRES(mutex_);
  AdapterInfo InfoOf(const Entry& entry) const CHORUS_REQUIRES(mutex_);
  AdapterInfo InfoOf(const StoredVersion& version) const CHORUS_REQUIRES(mutex_);
  // The old entry under the name, if there was one.
  std::optional<Entry> Exchange(const std::string& tenant, const std::string& name,
                                std::optional<Entry> entry) CHORUS_REQUIRES(mutex_);
  bool IsNamed(const std::string& tenant, const AdapterDigest& digest) const
      CHORUS_REQUIRES(mutex_);
  void MarkDamaged(const std::string& sha256) CHORUS_EXCLUDES(mutex_);

  const CatalogOptions options_;
  const Clock* const clock_;
  const std::shared_ptr<VersionStore> versions_;
  StoreScrubber scrubber_;
  CatalogHistory history_;
  kernels::Mutex commit_mutex_;  // before mutex_
  mutable kernels::Mutex mutex_;
  std::map<std::string, Tenant> tenants_ CHORUS_GUARDED_BY(mutex_);
  // Deleted versions that somebody still uses, by tenant, name and version.
  std::set<std::tuple<std::string, std::string, int64_t>> deleting_ CHORUS_GUARDED_BY(mutex_);
  int num_uploads_ CHORUS_GUARDED_BY(mutex_) = 0;
  std::function<void(const std::string&, const AdapterDigest&)> forget_
      CHORUS_GUARDED_BY(commit_mutex_);
  std::atomic<bool> stopping_{false};
  std::thread background_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_STORED_CATALOG_H_
