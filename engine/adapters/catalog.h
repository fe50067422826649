// Catalog: the adapters of all tenants as the server sees them: names, versions, states and a
// numbered history of changes. The store below keeps what the catalog acknowledged.
//
//   BeginUpload → Append … → Commit      VALIDATING ─▶ READY | REJECTED (nothing is left behind)
//   Delete                               READY ─▶ DELETING ─▶ gone (scrubbed after the last user)
#ifndef CHORUS_ENGINE_ADAPTERS_CATALOG_H_
#define CHORUS_ENGINE_ADAPTERS_CATALOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/adapters/adapter_version.h"
#include "engine/clock.h"

namespace chorus::engine {

enum class AdapterState { kReady, kDeleting, kDamaged };

struct AdapterInfo {
  std::string tenant;
  std::string name;
  int64_t version = 0;
  AdapterDigest digest;
  AdapterState state = AdapterState::kReady;
  int64_t config_bytes = 0;
  int64_t tensor_bytes = 0;
  int32_t max_rank = 0;
  int64_t pages = 0;                 // leased when resident
  std::vector<std::string> modules;  // "q_proj", … that it changes anywhere
  std::vector<int32_t> invocation;   // of an activated LoRA: the token ids that activate it
  std::string base_model_name_or_path;
  std::vector<std::string> warnings;
  absl::Time created;
  bool pinned = false;
};

struct CatalogEvent {
  // kSnapshotEnd: what came before is how things stand, what follows are changes; no adapter.
  enum class Kind { kPut, kDeleting, kDeleted, kPinned, kSnapshotEnd };
  uint64_t revision = 0;  // 0 inside a snapshot: who is cut off there begins again
  Kind kind = Kind::kPut;
  AdapterInfo adapter;
};

struct UploadRequest {
  std::string tenant;
  std::string name;
  std::optional<int64_t> if_version;  // absent: create or replace; 0: must not exist
  uint64_t config_bytes = 0;          // announced sizes, held to
  uint64_t tensor_bytes = 0;
  std::string config_sha256;  // 64 hex digits or empty
  std::string tensor_sha256;
  std::optional<AdapterDigest> digest;  // expected adapter digest
};

// One upload in progress: one thread at a time. Dropping it leaves nothing behind.
class Upload {
 public:
  virtual ~Upload() = default;
  // The config first, then the tensors. OutOfRange beyond the announced size.
  virtual absl::Status AppendConfig(std::string_view bytes) = 0;
  virtual absl::Status AppendTensors(std::string_view bytes) = 0;
  // Validates, makes the image, stores durably, publishes. Blocks for as long as that takes. The
  // same name with the same digest is OK and the same version (a retry after a lost answer).
  virtual absl::StatusOr<AdapterInfo> Commit() = 0;
};

// A watcher's view: a snapshot, then ordered events. Thread-safe.
class CatalogWatch {
 public:
  virtual ~CatalogWatch() = default;
  // The next event, or nullopt when none came within `timeout`. OutOfRange with the last revision
  // delivered, when the watcher fell too far behind or asked for a revision that is forgotten.
  virtual absl::StatusOr<std::optional<CatalogEvent>> Next(absl::Duration timeout) = 0;
  // `on_news` is called, on any thread, whenever Next has something to say that it had not before;
  // also for a cut and for the catalog's end. It must be quick and may call Next, but not the
  // catalog. Set at most once, before the first Next; news from before that is not announced.
  virtual void OnNews(std::function<void()> on_news) = 0;
};

// Thread-safe. A tenant sees its own adapters and those of the shared tenant, nothing else; what it
// may not see is NotFound.
class Catalog {
 public:
  virtual ~Catalog() = default;

  // `model` is a name, "name@version" or "sha256:…". NotFound for what is unknown.
  virtual absl::StatusOr<AdapterRef> Resolve(const std::string& tenant,
                                             const std::string& model) const = 0;
  virtual absl::StatusOr<AdapterInfo> Get(const std::string& tenant,
                                          const std::string& model) const = 0;
  virtual std::vector<AdapterInfo> List(const std::string& tenant) const = 0;
  // At most `limit` of them, by name, behind the name `after`; empty: from the first on. Takes no
  // longer when there are thousands.
  virtual std::vector<AdapterInfo> ListAfter(const std::string& tenant, const std::string& after,
                                             int limit) const = 0;

  // Refuses early what the announcement alone shows: name, sizes, if_version, room in the store.
  virtual absl::StatusOr<std::unique_ptr<Upload>> BeginUpload(const UploadRequest& request) = 0;

  // Removes the alias at once and durably; the rest follows when the last user lets go.
  virtual absl::StatusOr<AdapterInfo> Delete(const std::string& tenant, const std::string& name,
                                             std::optional<int64_t> if_version) = 0;
  // Marks an adapter as pinned, durably. Aborted when its version is not `if_version`.
  virtual absl::StatusOr<AdapterInfo> SetPinned(const std::string& tenant, const std::string& name,
                                                bool pinned, std::optional<int64_t> if_version) = 0;

  virtual uint64_t revision() const = 0;
  // since_revision 0: a snapshot first, kPut events and kSnapshotEnd; otherwise the events after
  // it.
  virtual absl::StatusOr<std::unique_ptr<CatalogWatch>> Watch(const std::string& tenant,
                                                              uint64_t since_revision) = 0;

  // Called (on any thread, once a version) when nothing can name the version any more, so that the
  // engine drops its idle pages and prefixes. Set once, before the server serves.
  virtual void OnForget(
      std::function<void(const std::string& tenant, const AdapterDigest& digest)> forget) = 0;
};

// The tenant whose adapters everybody may use.
inline constexpr std::string_view kSharedTenant = "shared";

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_CATALOG_H_
