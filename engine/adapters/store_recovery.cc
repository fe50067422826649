#include "engine/adapters/store_recovery.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/adapters/sha256.h"
#include "engine/adapters/staged_file.h"
#include "engine/adapters/store_names.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr char kFloorFile[] = "+floor";
constexpr uint64_t kMaxManifestBytes = uint64_t{16} << 20;

absl::StatusOr<bool> Exists(FileSystem* files, const std::string& path) {
  const absl::StatusOr<FileStat> stat = files->Stat(path);
  if (stat.ok()) return true;
  if (absl::IsNotFound(stat.status())) return false;
  return stat.status();
}

// A small file; of one that is larger than any of ours, the beginning.
absl::StatusOr<std::string> ReadSmall(FileSystem* files, const std::string& path) {
  CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> file, files->Open(path));
  std::string text(std::min(file->size(), kMaxManifestBytes), '\0');
  CHORUS_RETURN_IF_ERROR(file->Read(0, std::as_writable_bytes(std::span(text))));
  return text;
}

absl::Status SyncNames(FileSystem* files, const std::string& directory) {
  const absl::Status synced = files->SyncDirectory(directory);
  if (!synced.ok()) NoteFailedSync(files, synced);
  return synced;
}

// Puts the text under the name, in the place of what has it; durable after SyncNames.
absl::Status WriteSmall(FileSystem* files, const std::string& path, const std::string& text) {
  const std::string staged_path = absl::StrCat(kStagingPath, "/recovery");
  if (absl::Status status = files->Unlink(staged_path); !status.ok() && !absl::IsNotFound(status)) {
    return status;
  }
  CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<StagedFile> staged,
                          StagedFile::Create(files, staged_path, 0));
  CHORUS_RETURN_IF_ERROR(staged->Append(text));
  CHORUS_RETURN_IF_ERROR(staged->Sync());
  CHORUS_RETURN_IF_ERROR(staged->Close());
  return staged->RenameTo(path);
}

// An empty directory is made again, so that its name is a new one to sync.
absl::Status MakeAnew(FileSystem* files, const std::string& path) {
  const absl::Status removed = files->RemoveDirectory(path);
  if (absl::IsFailedPrecondition(removed)) return absl::OkStatus();  // not empty
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  return files->MakeDirectory(path);
}

std::string FloorLines(int64_t floor) {
  return absl::StrCat("chorus floor 1\nfloor ", floor, "\n");
}

// One run of the scan.
class Scan {
 public:
  explicit Scan(FileSystem* files) : files_(files) {}

  absl::StatusOr<RecoveredStore> Run() {
    CHORUS_ASSIGN_OR_RETURN(out_.report.read_all_objects, Exists(files_, kFailedPath));
    CHORUS_RETURN_IF_ERROR(SweepStaging());
    CHORUS_RETURN_IF_ERROR(ReadManifests());
    CHORUS_RETURN_IF_ERROR(CheckObjects());
    CHORUS_RETURN_IF_ERROR(ListShelves());
    if (out_.report.read_all_objects) CHORUS_RETURN_IF_ERROR(WriteAnew());
    // First the manifests' names, then the objects that only older manifests named: the other way
    // round a power cut could bring back an older manifest without its objects.
    CHORUS_RETURN_IF_ERROR(MakeDurable());
    CHORUS_RETURN_IF_ERROR(RemoveOrphans());
    if (out_.report.read_all_objects) {
      CHORUS_RETURN_IF_ERROR(files_->Unlink(kFailedPath));
      CHORUS_RETURN_IF_ERROR(SyncNames(files_, "."));
      Note("an fsync had failed: all objects were read and all names written again");
    }
    out_.report.versions = static_cast<int64_t>(out_.versions.size());
    return std::move(out_);
  }

 private:
  void Note(std::string line) { out_.report.notes.push_back(std::move(line)); }

  absl::Status SweepStaging() {
    CHORUS_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries, files_->List(kStagingPath));
    for (const DirectoryEntry& entry : entries) {
      CHORUS_RETURN_IF_ERROR(files_->Unlink(absl::StrCat(kStagingPath, "/", entry.name)));
      ++out_.report.staged_removed;
    }
    return absl::OkStatus();
  }

  absl::Status ReadManifests() {
    CHORUS_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries,
                            files_->List(kManifestsPath));
    for (const DirectoryEntry& entry : entries) {
      const std::optional<std::string> tenant = NameOfFile(entry.name);
      if (!entry.is_directory || !tenant.has_value()) {
        Note(absl::StrCat(kManifestsPath, "/", entry.name, ": not ours, left alone"));
        continue;
      }
      CHORUS_RETURN_IF_ERROR(ReadTenant(*tenant));
    }
    return absl::OkStatus();
  }

  absl::Status ReadTenant(const std::string& tenant) {
    const std::string directory = TenantDirectory(tenant);
    CHORUS_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries, files_->List(directory));
    out_.directories.insert(directory);
    out_.floors[tenant] = 0;
    for (const DirectoryEntry& entry : entries) {
      const std::string path = absl::StrCat(directory, "/", entry.name);
      if (entry.name == kFloorFile) {
        CHORUS_RETURN_IF_ERROR(ReadFloor(path, &out_.floors[tenant]));
        continue;
      }
      const std::optional<std::string> name = NameOfFile(entry.name);
      if (entry.is_directory || !name.has_value()) {
        Note(absl::StrCat(path, ": not ours, left alone"));
        continue;
      }
      CHORUS_RETURN_IF_ERROR(ReadManifest(path, tenant, *name));
    }
    return absl::OkStatus();
  }

  // A file that cannot be read now may well be whole: that ends the start, and moves nothing.
  absl::StatusOr<std::string> ReadText(const std::string& path) {
    // After a failed fsync the cache may hold what the disk does not.
    if (out_.report.read_all_objects) CHORUS_RETURN_IF_ERROR(files_->DropCache(path));
    return ReadSmall(files_, path);
  }

  absl::Status ReadFloor(const std::string& path, int64_t* floor) {
    CHORUS_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
    const absl::StatusOr<int64_t> parsed = ParseFloor(text);
    if (!parsed.ok()) return Quarantine(path, parsed.status());
    *floor = *parsed;
    return absl::OkStatus();
  }

  absl::Status ReadManifest(const std::string& path, const std::string& tenant,
                            const std::string& name) {
    CHORUS_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
    absl::StatusOr<Manifest> manifest = Manifest::Parse(text);
    if (manifest.ok() && (manifest->tenant != tenant || manifest->name != name)) {
      manifest = absl::DataLossError(absl::StrCat("manifest: expected that of ", tenant, "/", name,
                                                  ", got that of ", manifest->tenant, "/",
                                                  manifest->name));
    }
    if (!manifest.ok()) return Quarantine(path, manifest.status());
    out_.versions.push_back({*std::move(manifest)});
    return absl::OkStatus();
  }

  absl::Status Quarantine(const std::string& path, const absl::Status& why) {
    std::string target;
    for (int64_t number = 0;; ++number) {
      target = absl::StrCat(kQuarantinePath, "/", number);
      CHORUS_ASSIGN_OR_RETURN(const bool taken, Exists(files_, target));
      if (!taken) break;
    }
    CHORUS_RETURN_IF_ERROR(files_->Rename(path, target));
    CHORUS_RETURN_IF_ERROR(SyncNames(files_, kQuarantinePath));
    ++out_.report.quarantined;
    Note(absl::StrCat(path, ": moved to ", target, ": ", why.message()));
    return absl::OkStatus();
  }

  absl::Status CheckObjects() {
    for (RecoveredVersion& version : out_.versions) {
      for (const ObjectName& object : {version.manifest.config, version.manifest.tensors}) {
        const absl::Status status = CheckObject(object);
        if (status.ok()) continue;
        if (!absl::IsDataLoss(status)) return status;
        version.damaged = true;
        Note(absl::StrCat(version.manifest.tenant, "/", version.manifest.name,
                          ": damaged: ", status.message()));
      }
      if (version.damaged) ++out_.report.damaged;
    }
    return absl::OkStatus();
  }

  absl::Status CheckObject(const ObjectName& object) {
    named_.insert(object.sha256);
    const std::string path = ObjectPath(object.sha256);
    const absl::StatusOr<FileStat> stat = files_->Stat(path);
    if (absl::IsNotFound(stat.status()) || absl::IsFailedPrecondition(stat.status())) {
      return absl::DataLossError(absl::StrCat(path, ": missing"));
    }
    CHORUS_RETURN_IF_ERROR(stat.status());
    if (stat->is_directory || stat->bytes != object.bytes) {
      return absl::DataLossError(
          absl::StrCat(path, ": expected ", object.bytes, " bytes, got ", stat->bytes));
    }
    if (!out_.report.read_all_objects) return absl::OkStatus();
    CHORUS_RETURN_IF_ERROR(files_->DropCache(path));
    CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> bytes, files_->Open(path));
    CHORUS_ASSIGN_OR_RETURN(const std::string sha256, Sha256Hex(*bytes));
    if (sha256 == object.sha256) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(path, ": its SHA-256 is ", sha256));
  }

  absl::Status ListShelves() {
    CHORUS_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries, files_->List(kObjectsPath));
    for (const DirectoryEntry& entry : entries) {
      if (!entry.is_directory) continue;
      shelves_.push_back(absl::StrCat(kObjectsPath, "/", entry.name));
      out_.directories.insert(shelves_.back());
    }
    return absl::OkStatus();
  }

  absl::Status WriteAnew() {
    for (const std::string& directory : out_.directories) {
      CHORUS_RETURN_IF_ERROR(MakeAnew(files_, directory));
    }
    for (const RecoveredVersion& version : out_.versions) {
      const Manifest& manifest = version.manifest;
      CHORUS_RETURN_IF_ERROR(
          WriteSmall(files_, ManifestPath(manifest.tenant, manifest.name), manifest.Serialize()));
    }
    for (const auto& [tenant, floor] : out_.floors) {
      if (floor == 0) continue;
      CHORUS_RETURN_IF_ERROR(WriteSmall(files_, FloorPath(tenant), SerializeFloor(floor)));
    }
    return absl::OkStatus();
  }

  absl::Status RemoveOrphans() {
    CHORUS_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> quarantined,
                            files_->List(kQuarantinePath));
    if (!quarantined.empty()) {
      Note(absl::StrCat(kQuarantinePath, ": ", quarantined.size(),
                        " files; objects without a manifest are kept until they are gone"));
      return absl::OkStatus();
    }
    for (const std::string& shelf : shelves_) {
      CHORUS_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> objects, files_->List(shelf));
      for (const DirectoryEntry& object : objects) {
        if (!IsSha256Hex(object.name) || named_.contains(object.name)) continue;
        CHORUS_RETURN_IF_ERROR(files_->Unlink(absl::StrCat(shelf, "/", object.name)));
        ++out_.report.orphans_removed;
      }
    }
    return absl::OkStatus();
  }

  // What the last process renamed but had no time to sync is shown to clients from now on, so it
  // must not vanish in a power cut. A directory in which nothing happened costs next to nothing.
  absl::Status MakeDurable() {
    for (const char* directory : {kObjectsPath, kManifestsPath, "."}) {
      CHORUS_RETURN_IF_ERROR(SyncNames(files_, directory));
    }
    for (const std::string& directory : out_.directories) {
      CHORUS_RETURN_IF_ERROR(SyncNames(files_, directory));
    }
    return absl::OkStatus();
  }

  FileSystem* const files_;
  RecoveredStore out_;
  std::vector<std::string> shelves_;  // directories of objects
  std::set<std::string> named_;       // objects, by manifests
};

}  // namespace

std::string ObjectDirectory(const std::string& sha256) {
  return absl::StrCat(kObjectsPath, "/", sha256.substr(0, 2));
}
std::string ObjectPath(const std::string& sha256) {
  return absl::StrCat(ObjectDirectory(sha256), "/", sha256);
}
std::string TenantDirectory(const std::string& tenant) {
  return absl::StrCat(kManifestsPath, "/", FileNameOf(tenant));
}
std::string ManifestPath(const std::string& tenant, const std::string& name) {
  return absl::StrCat(TenantDirectory(tenant), "/", FileNameOf(name));
}
std::string FloorPath(const std::string& tenant) {
  return absl::StrCat(TenantDirectory(tenant), "/", kFloorFile);
}

std::string SerializeFloor(int64_t floor) {
  const std::string lines = FloorLines(floor);
  return absl::StrCat(lines, "end ", Sha256Hex(lines), "\n");
}

absl::StatusOr<int64_t> ParseFloor(std::string_view text) {
  constexpr std::string_view kBefore = "chorus floor 1\nfloor ";
  int64_t floor = 0;
  if (text.starts_with(kBefore)) {
    const std::string_view number =
        text.substr(kBefore.size(), text.find('\n', kBefore.size()) - kBefore.size());
    if (absl::SimpleAtoi(absl::string_view(number.data(), number.size()), &floor) && floor >= 0 &&
        SerializeFloor(floor) == text) {
      return floor;
    }
  }
  return absl::DataLossError("version floor: expected a number and the SHA-256 of its lines");
}

void NoteFailedSync(FileSystem* files, const absl::Status& cause) {
  auto note = files->Create(kFailedPath);
  if (!note.ok()) return;
  (*note)->Append(absl::StrCat(cause.ToString(), "\n")).IgnoreError();
  (*note)->Sync().IgnoreError();
  (*note)->Close().IgnoreError();
  files->SyncDirectory(".").IgnoreError();
}

absl::Status PrepareStore(FileSystem* files, const std::string& format) {
  CHORUS_RETURN_IF_ERROR(files->Lock(kLockPath));
  CHORUS_ASSIGN_OR_RETURN(const bool exists, Exists(files, kFormatPath));
  if (exists) {
    CHORUS_ASSIGN_OR_RETURN(const std::string found, ReadSmall(files, kFormatPath));
    if (found != format + "\n") {
      return absl::FailedPreconditionError(
          absl::StrCat("adapter store: expected the format \"", format, "\", got \"",
                       found.substr(0, found.find('\n')),
                       "\": it was made by another release or for a model of another shape"));
    }
  }
  CHORUS_ASSIGN_OR_RETURN(const bool failed, Exists(files, kFailedPath));
  for (const char* directory :
       {kStagingPath, kObjectsPath, kManifestsPath, kQuarantinePath, kImagesPath}) {
    const absl::Status made = failed ? MakeAnew(files, directory) : files->MakeDirectory(directory);
    if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  }
  CHORUS_RETURN_IF_ERROR(SyncNames(files, "."));
  if (exists && !failed) return absl::OkStatus();
  CHORUS_RETURN_IF_ERROR(WriteSmall(files, kFormatPath, format + "\n"));
  return SyncNames(files, ".");
}

absl::StatusOr<RecoveredStore> RecoverStore(FileSystem* files) { return Scan(files).Run(); }

}  // namespace chorus::engine
