#include "server/grpc/pins.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace chorus::server {

void SyncPin(const Front& front, const std::string& tenant, const engine::AdapterDigest& digest) {
  const absl::StatusOr<engine::AdapterRef> adapter =
      front.catalog->Resolve(tenant, absl::StrCat("sha256:", digest.Hex()));
  if (!adapter.ok() || (*adapter)->tenant() != tenant) return;
  const std::vector<engine::AdapterInfo> names = front.catalog->List(tenant);
  const bool wanted = std::ranges::any_of(names, [&](const engine::AdapterInfo& info) {
    return info.tenant == tenant && info.pinned && info.digest == digest;
  });
  // Only a pin that the pool has already can be wanted, and that one fits.
  front.engine->Pin(*adapter, wanted).IgnoreError();
}

}  // namespace chorus::server
