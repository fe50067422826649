// What the store does when it opens: takes the lock, looks at the format, sweeps what a crash left,
// and reads the manifests. Every step is idempotent, so a crash in the middle costs nothing. Reads
// manifests and the sizes of objects, never tensors, unless the last process met a failed fsync.
//
//   FORMAT                     one line: "chorus store 1; …", refused when it differs
//   LOCK                       flock: one process at a time
//   failed                     there when an fsync failed: the next start reads every object and
//                              writes every name anew, because what could not be synced once is not
//                              on the disk, whatever a later fsync says
//   staging/N                  uploads in progress, removed
//   objects/ab/abcd…           named by their SHA-256; those that no manifest names are removed
//   manifests/TENANT/NAME      manifest.h; file names as store_names.h writes them
//   manifests/TENANT/+floor    the highest version of a deleted name: new names begin above it
//   quarantine/N               manifests that are torn. While one lies there, objects without a
//                              manifest are kept, because it may have named them
//   images/FINGERPRINT/DIGEST  a cache (image_cache.h)
#ifndef CHORUS_ENGINE_ADAPTERS_STORE_RECOVERY_H_
#define CHORUS_ENGINE_ADAPTERS_STORE_RECOVERY_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/file_system.h"
#include "engine/adapters/manifest.h"

namespace chorus::engine {

inline constexpr char kFormatPath[] = "FORMAT";
inline constexpr char kLockPath[] = "LOCK";
inline constexpr char kFailedPath[] = "failed";
inline constexpr char kStagingPath[] = "staging";
inline constexpr char kObjectsPath[] = "objects";
inline constexpr char kManifestsPath[] = "manifests";
inline constexpr char kQuarantinePath[] = "quarantine";
inline constexpr char kImagesPath[] = "images";

std::string ObjectDirectory(const std::string& sha256);  // "objects/ab"
std::string ObjectPath(const std::string& sha256);       // "objects/ab/abcd…"
std::string TenantDirectory(const std::string& tenant);  // "manifests/acme"
std::string ManifestPath(const std::string& tenant, const std::string& name);
std::string FloorPath(const std::string& tenant);

// The content of a "+floor" file, and its value; DataLoss when it is not one.
std::string SerializeFloor(int64_t floor);
absl::StatusOr<int64_t> ParseFloor(std::string_view text);

struct RecoveryReport {
  int64_t versions = 0;
  int64_t damaged = 0;      // versions whose objects are missing or differ
  int64_t quarantined = 0;  // manifests moved aside just now
  int64_t staged_removed = 0;
  int64_t orphans_removed = 0;  // objects
  bool read_all_objects = false;
  std::vector<std::string> notes;  // one line for each thing that an operator should know
};

struct RecoveredVersion {
  Manifest manifest;
  bool damaged = false;
};

struct RecoveredStore {
  std::vector<RecoveredVersion> versions;
  std::map<std::string, int64_t> floors;  // by tenant
  std::set<std::string> directories;      // that are there and durable
  RecoveryReport report;
};

// Leaves `failed`, as well as that is possible now, for the next start.
void NoteFailedSync(FileSystem* files, const absl::Status& cause);

// Locks and checks the store, or makes an empty one. `format` is what FORMAT must say.
// FailedPrecondition for another format, Unavailable when another process has it.
absl::Status PrepareStore(FileSystem* files, const std::string& format);

// REQUIRES: PrepareStore was OK.
absl::StatusOr<RecoveredStore> RecoverStore(FileSystem* files);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_STORE_RECOVERY_H_
