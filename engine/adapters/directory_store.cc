#include "engine/adapters/directory_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::MutexLock;

constexpr absl::Duration kSyncFailureWindow = absl::Minutes(10);

// What the caller hears of a failed call: room, or a fault to try again after.
absl::Status StoreFailed(const absl::Status& status) {
  if (status.ok()) return status;
  if (absl::IsResourceExhausted(status)) {
    return MakeRefusal(
        absl::StatusCode::kResourceExhausted,
        {Reason::kStoreFull, "adapter store", "room for the file", std::string(status.message())});
  }
  return absl::UnavailableError(absl::StrCat("adapter store: ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DirectoryStore>> DirectoryStore::Open(
    StoreOptions options, std::unique_ptr<FileSystem> files, const Clock* clock) {
  CHORUS_ASSIGN_OR_RETURN(const std::string volatile_kind, files->VolatileKind());
  if (!volatile_kind.empty() && !options.allow_volatile) {
    return absl::FailedPreconditionError(
        absl::StrCat("adapter store: expected a file system that survives a restart, got ",
                     volatile_kind, " (allow_volatile_store admits it, for trials)"));
  }
  CHORUS_RETURN_IF_ERROR(
      PrepareStore(files.get(), absl::StrCat("chorus store 1; ", options.format_tag)));
  CHORUS_ASSIGN_OR_RETURN(RecoveredStore recovered, RecoverStore(files.get()));
  std::unique_ptr<DirectoryStore> store(
      new DirectoryStore(std::move(options), std::move(files), clock));
  store->Adopt(std::move(recovered));
  return store;
}

void DirectoryStore::Adopt(RecoveredStore recovered) {
  for (const RecoveredVersion& version : recovered.versions) {
    const Manifest& manifest = version.manifest;
    MutexLock lock(&mutex_);
    named_[{manifest.tenant, manifest.name}] =
        Named{manifest.version, objects_.Add(manifest.config), objects_.Add(manifest.tensors)};
  }
  {
    MutexLock lock(&directory_mutex_);
    directories_ = std::move(recovered.directories);
  }
  MutexLock lock(&mutex_);
  floors_ = std::move(recovered.floors);
  recovered_ = std::move(recovered.versions);
  report_ = std::move(recovered.report);
}

absl::Status DirectoryStore::Writable() const {
  MutexLock lock(&mutex_);
  return latched_;
}

std::string DirectoryStore::NextStagingPath() {
  return absl::StrCat(kStagingPath, "/", next_staged_.fetch_add(1));
}

absl::StatusOr<std::unique_ptr<StagedFile>> DirectoryStore::Stage(uint64_t announced_bytes,
                                                                  bool hashed) {
  CHORUS_RETURN_IF_ERROR(Writable());
  const absl::StatusOr<uint64_t> free_bytes = files_->FreeBytes();
  if (!free_bytes.ok()) return StoreFailed(free_bytes.status());
  if (*free_bytes < options_.reserved_bytes ||
      *free_bytes - options_.reserved_bytes < announced_bytes) {
    return MakeRefusal(
        absl::StatusCode::kResourceExhausted,
        {Reason::kStoreFull, "adapter store",
         absl::StrCat(announced_bytes, " free bytes beside a reserve of ", options_.reserved_bytes),
         absl::StrCat(*free_bytes)});
  }
  absl::StatusOr<std::unique_ptr<StagedFile>> staged =
      StagedFile::Create(files_.get(), NextStagingPath(), announced_bytes, hashed);
  if (!staged.ok()) return StoreFailed(staged.status());
  return staged;
}

absl::StatusOr<ObjectRef> DirectoryStore::Keep(std::unique_ptr<StagedFile> staged) {
  CHORUS_RETURN_IF_ERROR(Writable());
  const ObjectName name{staged->Finish(), staged->bytes()};
  if (const absl::Status synced = staged->Sync(); !synced.ok()) return OnObjectSyncFailed(synced);
  CHORUS_RETURN_IF_ERROR(StoreFailed(staged->Close()));
  CHORUS_RETURN_IF_ERROR(EnsureDirectory(ObjectDirectory(name.sha256)));
  // The ref comes first, so that nobody collects what the rename brings. The rename goes over an
  // object that is there already: its bytes are equal, or damaged and healed by that.
  ObjectRef ref = objects_.Add(name);
  CHORUS_RETURN_IF_ERROR(StoreFailed(staged->RenameTo(ObjectPath(name.sha256))));
  CHORUS_RETURN_IF_ERROR(SyncDirectoryOrLatch(ObjectDirectory(name.sha256)));
  return ref;
}

absl::Status DirectoryStore::PutManifest(const Manifest& manifest) {
  CHORUS_RETURN_IF_ERROR(Writable());
  CHORUS_RETURN_IF_ERROR(EnsureDirectory(TenantDirectory(manifest.tenant)));
  Named named{manifest.version, objects_.Add(manifest.config), objects_.Add(manifest.tensors)};
  CHORUS_RETURN_IF_ERROR(
      ReplaceSmallFile(ManifestPath(manifest.tenant, manifest.name), manifest.Serialize()));
  MutexLock lock(&mutex_);
  std::swap(named_[{manifest.tenant, manifest.name}], named);
  return absl::OkStatus();
}

absl::Status DirectoryStore::RemoveManifest(const std::string& tenant, const std::string& name) {
  CHORUS_RETURN_IF_ERROR(Writable());
  int64_t version = 0;
  {
    MutexLock lock(&mutex_);
    const auto found = named_.find({tenant, name});
    CHORUS_CHECK(found != named_.end());
    version = found->second.version;
  }
  CHORUS_RETURN_IF_ERROR(RaiseFloor(tenant, version));
  CHORUS_RETURN_IF_ERROR(StoreFailed(files_->Unlink(ManifestPath(tenant, name))));
  CHORUS_RETURN_IF_ERROR(SyncDirectoryOrLatch(TenantDirectory(tenant)));
  MutexLock lock(&mutex_);
  named_.erase({tenant, name});
  return absl::OkStatus();
}

int64_t DirectoryStore::FirstVersion(const std::string& tenant) const {
  MutexLock lock(&mutex_);
  const auto floor = floors_.find(tenant);
  return floor == floors_.end() ? 1 : floor->second + 1;
}

absl::Status DirectoryStore::RaiseFloor(const std::string& tenant, int64_t version) {
  if (version < FirstVersion(tenant)) return absl::OkStatus();
  CHORUS_RETURN_IF_ERROR(ReplaceSmallFile(FloorPath(tenant), SerializeFloor(version)));
  MutexLock lock(&mutex_);
  floors_[tenant] = version;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ByteSource>> DirectoryStore::OpenObject(
    const ObjectName& object) const {
  absl::StatusOr<std::unique_ptr<ByteSource>> bytes = files_->Open(ObjectPath(object.sha256));
  if (absl::IsNotFound(bytes.status()) || absl::IsFailedPrecondition(bytes.status())) {
    return absl::DataLossError(absl::StrCat("stored object: ", bytes.status().message()));
  }
  if (bytes.ok() && (*bytes)->size() != object.bytes) {
    return absl::DataLossError(absl::StrCat("stored object ", object.sha256, ": expected ",
                                            object.bytes, " bytes, got ", (*bytes)->size()));
  }
  return bytes;
}

int64_t DirectoryStore::CollectGarbage() {
  // Once an fsync failed nobody knows which manifest the disk has: it may still name the object.
  if (!Writable().ok()) return 0;
  return objects_.Collect([this](const std::string& sha256) {
    const absl::Status status = files_->Unlink(ObjectPath(sha256));
    return absl::IsNotFound(status) ? absl::OkStatus() : status;
  });
}

absl::Status DirectoryStore::EnsureDirectory(const std::string& path) {
  MutexLock lock(&directory_mutex_);
  if (directories_.contains(path)) return absl::OkStatus();
  const absl::Status made = files_->MakeDirectory(path);
  if (!made.ok() && !absl::IsAlreadyExists(made)) return StoreFailed(made);
  CHORUS_RETURN_IF_ERROR(SyncDirectoryOrLatch(path.substr(0, path.rfind('/'))));
  directories_.insert(path);
  return absl::OkStatus();
}

absl::Status DirectoryStore::SyncDirectoryOrLatch(const std::string& path) {
  // One at a time: an fsync that fails takes other threads' names with it, and theirs, just after,
  // would succeed for nothing.
  MutexLock lock(&sync_mutex_);
  CHORUS_RETURN_IF_ERROR(Writable());
  const absl::Status synced = files_->SyncDirectory(path);
  return synced.ok() ? synced : Latch(synced);
}

absl::Status DirectoryStore::ReplaceSmallFile(const std::string& path, const std::string& text) {
  // From staging, on the same file system, so that there is one place to sweep.
  absl::StatusOr<std::unique_ptr<StagedFile>> staged =
      StagedFile::Create(files_.get(), NextStagingPath(), text.size());
  if (!staged.ok()) return StoreFailed(staged.status());
  CHORUS_RETURN_IF_ERROR(StoreFailed((*staged)->Append(text)));
  if (const absl::Status synced = (*staged)->Sync(); !synced.ok()) {
    return absl::IsResourceExhausted(synced) ? StoreFailed(synced) : Latch(synced);
  }
  CHORUS_RETURN_IF_ERROR(StoreFailed((*staged)->Close()));
  CHORUS_RETURN_IF_ERROR(StoreFailed((*staged)->RenameTo(path)));
  return SyncDirectoryOrLatch(path.substr(0, path.rfind('/')));
}

absl::Status DirectoryStore::OnObjectSyncFailed(const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) return StoreFailed(status);
  const absl::Time now = clock_->Now();
  {
    MutexLock lock(&mutex_);
    const bool again = now - last_sync_failure_ < kSyncFailureWindow;
    last_sync_failure_ = now;
    if (!again) return StoreFailed(status);
  }
  return Latch(status);
}

absl::Status DirectoryStore::Latch(const absl::Status& cause) {
  absl::Status latched;
  {
    MutexLock lock(&mutex_);
    if (!latched_.ok()) return latched_;
    latched_ = MakeRefusal(
        absl::StatusCode::kUnavailable,
        {Reason::kStoreReadOnly, "adapter store", "a disk that keeps what it is given",
         absl::StrCat(std::string(cause.message()), "; read-only until the server is restarted")});
    latched = latched_;
  }
  NoteFailedSync(files_.get(), cause);
  return latched;
}

}  // namespace chorus::engine
