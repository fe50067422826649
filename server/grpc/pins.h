// Pins belong to names; the pool knows contents, and several names may have the same one.
#ifndef CHORUS_SERVER_GRPC_PINS_H_
#define CHORUS_SERVER_GRPC_PINS_H_

#include <string>

#include "engine/adapters/adapter_spec.h"
#include "server/grpc/front.h"

namespace chorus::server {

// To be called after a name of this content was pinned, unpinned, deleted or replaced: the pool
// keeps the content exactly if one of the tenant's names for it is pinned. Content that no name has
// any more is the catalog's to forget.
void SyncPin(const Front& front, const std::string& tenant, const engine::AdapterDigest& digest);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_PINS_H_
