// DirectoryStore: keeps adapters in a directory so that what it acknowledged survives a kill or a
// power cut at any moment (layout and recovery: store_recovery.h).
//
//   Stage   staging/N written and hashed; private, gone when dropped
//   Keep    fsync, close, rename to objects/ab/…, fsync objects/ab (and objects when ab is new)
//   Put     the manifest likewise into manifests/TENANT/NAME, over the old one
//   Remove  the manifest unlinked, fsync manifests/TENANT; the objects go when nobody needs them
//
// An fsync that fails tells that the kernel has dropped what it could not write, and a second fsync
// would lie. A failed object is abandoned; a failed manifest or directory, or two objects within
// ten minutes, latch the store: it reads on, refuses every write, and only a restart, which reads
// all objects again, clears that.
#ifndef CHORUS_ENGINE_ADAPTERS_DIRECTORY_STORE_H_
#define CHORUS_ENGINE_ADAPTERS_DIRECTORY_STORE_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/file_system.h"
#include "engine/adapters/manifest.h"
#include "engine/adapters/object_table.h"
#include "engine/adapters/staged_file.h"
#include "engine/adapters/store_recovery.h"
#include "engine/clock.h"
#include "engine/model/byte_source.h"
#include "kernels/mutex.h"

namespace chorus::engine {

struct StoreOptions {
  std::string format_tag;       // beside the version in FORMAT: what the adapters were checked for
  bool allow_volatile = false;  // on tmpfs or overlayfs too
  // Left free by uploads, so that manifests and deletes find room.
  uint64_t reserved_bytes = uint64_t{64} << 20;
};

// Thread-safe; calls for one tenant's manifests come one at a time.
class DirectoryStore {
 public:
  // Opens and recovers, or makes an empty store. FailedPrecondition for another format or a file
  // system that a restart may empty.
  static absl::StatusOr<std::unique_ptr<DirectoryStore>> Open(StoreOptions options,
                                                              std::unique_ptr<FileSystem> files,
                                                              const Clock* clock);

  const RecoveryReport& recovery() const { return report_; }
  // What recovery found; once.
  std::vector<RecoveredVersion> TakeRecovered() { return std::move(recovered_); }

  // OK, or Unavailable with the reason for which the store refuses to write.
  absl::Status Writable() const;

  // ResourceExhausted when `announced_bytes` would not leave the reserve. What shall be kept must
  // be hashed.
  absl::StatusOr<std::unique_ptr<StagedFile>> Stage(uint64_t announced_bytes, bool hashed = true);
  // Makes the staged bytes a durable object. Unavailable or ResourceExhausted when that fails.
  absl::StatusOr<ObjectRef> Keep(std::unique_ptr<StagedFile> staged);

  // Durable when OK. REQUIRES: the caller holds refs of both objects.
  absl::Status PutManifest(const Manifest& manifest);
  // Durable when OK; the name's next version is above the removed one.
  absl::Status RemoveManifest(const std::string& tenant, const std::string& name);
  // The version that a name without a manifest begins with.
  int64_t FirstVersion(const std::string& tenant) const;

  // REQUIRES: a manifest or another ref names the object.
  ObjectRef Ref(const ObjectName& object) { return objects_.Add(object); }
  absl::StatusOr<std::unique_ptr<ByteSource>> OpenObject(const ObjectName& object) const;
  const ObjectTable& objects() const { return objects_; }
  // Unlinks objects that nobody refers to. Returns how many.
  int64_t CollectGarbage();

  FileSystem* files() const { return files_.get(); }

 private:
  using NameKey = std::pair<std::string, std::string>;  // tenant, name

  DirectoryStore(StoreOptions options, std::unique_ptr<FileSystem> files, const Clock* clock)
      : options_(std::move(options)), files_(std::move(files)), clock_(clock) {}

  void Adopt(RecoveredStore recovered);
  std::string NextStagingPath();
  absl::Status EnsureDirectory(const std::string& path);
  absl::Status SyncDirectoryOrLatch(const std::string& path);
  absl::Status ReplaceSmallFile(const std::string& path, const std::string& text);
  absl::Status RaiseFloor(const std::string& tenant, int64_t version);
  absl::Status OnObjectSyncFailed(const absl::Status& status);
  absl::Status Latch(const absl::Status& cause);

  const StoreOptions options_;
  const std::unique_ptr<FileSystem> files_;
  const Clock* const clock_;
  ObjectTable objects_;
  RecoveryReport report_;
  std::vector<RecoveredVersion> recovered_;
  std::atomic<uint64_t> next_staged_{0};

  kernels::Mutex directory_mutex_;  // held while a directory is made
  std::set<std::string> directories_ CHORUS_GUARDED_BY(directory_mutex_);  // durable ones

  kernels::Mutex sync_mutex_;  // held while a directory is synced; before mutex_

  mutable kernels::Mutex mutex_;
  absl::Status latched_ CHORUS_GUARDED_BY(mutex_);
  absl::Time last_sync_failure_ CHORUS_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::map<std::string, int64_t> floors_ CHORUS_GUARDED_BY(mutex_);
  struct Named {
    int64_t version = 0;
    ObjectRef config;
    ObjectRef tensors;
  };
  std::map<NameKey, Named> named_ CHORUS_GUARDED_BY(mutex_);  // what manifests refer to
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_DIRECTORY_STORE_H_
