// Pins: what a tenant's pinned names stand for is kept in the pool. A pin belongs to a name and
// goes over to its next version; the pool knows contents, and several names may have the same one.
#ifndef CHORUS_SERVER_GRPC_PINS_H_
#define CHORUS_SERVER_GRPC_PINS_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "engine/adapters/catalog.h"
#include "engine/engine.h"
#include "kernels/mutex.h"

namespace chorus::server {

// Thread-safe. Changes of pins happen one after another, and each one leaves the pool as the
// catalog stands by then: so does the last, whatever was uploaded and deleted meanwhile.
class Pins {
 public:
  // Both must outlive it.
  Pins(engine::Catalog* catalog, engine::Engine* engine) : catalog_(catalog), engine_(engine) {}

  // At the start. Logs what finds no room; its mark stays.
  void Restore(const std::string& tenant);
  // Of a name alone, not of one of its versions (NotFound). ResourceExhausted where there is no
  // room, PermissionDenied for a name of the shared tenant.
  absl::StatusOr<engine::AdapterInfo> Set(const std::string& tenant, const std::string& name,
                                          bool pinned);
  // After an upload. If its name was pinned, now its new version is; where there is no room for it
  // the name is pinned no longer, and `info` says so.
  void Uploaded(engine::AdapterInfo* info);
  // After a name was deleted or got other content than this. The pool keeps the content by another
  // of its names, if there is one, so that the version that is gone is let go.
  void Left(const std::string& tenant, const engine::AdapterDigest& digest);

 private:
  absl::Status Keep(const engine::AdapterRef& adapter) CHORUS_REQUIRES(mutex_);
  void Follow(engine::AdapterInfo* info) CHORUS_REQUIRES(mutex_);
  void KeepOrUnpin(engine::AdapterInfo* info) CHORUS_REQUIRES(mutex_);
  void ReleaseUnpinned(const std::string& tenant) CHORUS_REQUIRES(mutex_);

  engine::Catalog* const catalog_;
  engine::Engine* const engine_;
  kernels::Mutex mutex_;
  // What the pool was asked to keep, by the tenant whose it is.
  std::map<std::string, std::map<engine::AdapterDigest, engine::AdapterRef>> kept_
      CHORUS_GUARDED_BY(mutex_);
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_PINS_H_
