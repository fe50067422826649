#include "server/grpc/pins.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"
#include "server/log/log.h"

namespace chorus::server {

using engine::AdapterInfo;
using engine::AdapterRef;
using kernels::MutexLock;

void Pins::Restore(const std::string& tenant) {
  MutexLock lock(&mutex_);
  for (const AdapterInfo& info : catalog_->List(tenant)) {
    if (!info.pinned) continue;
    const absl::StatusOr<AdapterRef> adapter = catalog_->Resolve(info.tenant, info.name);
    const absl::Status kept = adapter.ok() ? Keep(*adapter) : adapter.status();
    if (!kept.ok()) {
      LogWarning("adapter stays unpinned", {{"adapter", info.name}, {"why", kept.message()}});
    }
  }
}

absl::StatusOr<AdapterInfo> Pins::Set(const std::string& tenant, const std::string& name,
                                      bool pinned) {
  MutexLock lock(&mutex_);
  CHORUS_ASSIGN_OR_RETURN(const AdapterRef adapter, catalog_->Resolve(tenant, name));
  if (adapter->name() != name) {
    return engine::MakeRefusal(absl::StatusCode::kNotFound,
                               {engine::Reason::kAdapterNotFound, "name", "an adapter's name alone",
                                engine::Quoted(name)});
  }
  if (pinned && adapter->tenant() == tenant) CHORUS_RETURN_IF_ERROR(Keep(adapter));
  absl::StatusOr<AdapterInfo> info = catalog_->SetPinned(tenant, name, pinned, {});
  if (info.ok()) {
    Follow(&*info);  // it may have another version by now
  } else {
    ReleaseUnpinned(tenant);
  }
  return info;
}

void Pins::Uploaded(AdapterInfo* info) {
  MutexLock lock(&mutex_);
  Follow(info);
}

void Pins::Left(const std::string& tenant, const engine::AdapterDigest& digest) {
  MutexLock lock(&mutex_);
  ReleaseUnpinned(tenant);
  const absl::StatusOr<AdapterRef> adapter =
      catalog_->Resolve(tenant, absl::StrCat("sha256:", digest.Hex()));
  if (!adapter.ok() || (*adapter)->tenant() != tenant) return;
  const auto kept = kept_.find(tenant);
  if (kept != kept_.end() && kept->second.contains(digest)) {
    Keep(*adapter).IgnoreError();  // has its room already
  } else {
    engine_->Pin(*adapter, false).IgnoreError();
  }
}

absl::Status Pins::Keep(const AdapterRef& adapter) {
  // Also what we keep: the pool may have been told to forget it in between.
  CHORUS_RETURN_IF_ERROR(engine_->Pin(adapter, true));
  kept_[adapter->tenant()].insert_or_assign(adapter->digest(), adapter);
  return absl::OkStatus();
}

// After a change of a name, which now stands for `info`. A version that has been replaced meanwhile
// is left to whoever did that.
void Pins::Follow(AdapterInfo* info) {
  ReleaseUnpinned(info->tenant);  // makes room
  if (!info->pinned) return;
  KeepOrUnpin(info);
  ReleaseUnpinned(info->tenant);
}

void Pins::KeepOrUnpin(AdapterInfo* info) {
  const absl::StatusOr<AdapterRef> adapter =
      catalog_->Resolve(info->tenant, absl::StrCat(info->name, "@", info->version));
  if (!adapter.ok()) return;
  const absl::Status kept = Keep(*adapter);
  if (kept.ok()) return;
  if (!catalog_->SetPinned(info->tenant, info->name, false, info->version).ok()) return;
  info->pinned = false;
  info->warnings.push_back(absl::StrCat("no longer pinned: ", kept.message()));
}

void Pins::ReleaseUnpinned(const std::string& tenant) {
  const auto kept = kept_.find(tenant);
  if (kept == kept_.end()) return;
  std::set<engine::AdapterDigest> wanted;
  for (const AdapterInfo& info : catalog_->List(tenant)) {
    if (info.pinned && info.tenant == tenant) wanted.insert(info.digest);
  }
  std::erase_if(kept->second, [&](const auto& held) {
    if (wanted.contains(held.first)) return false;
    engine_->Pin(held.second, false).IgnoreError();  // is never refused
    return true;
  });
  if (kept->second.empty()) kept_.erase(kept);
}

}  // namespace chorus::server
