// Adapters as messages.
#ifndef CHORUS_SERVER_GRPC_ADAPTER_MESSAGES_H_
#define CHORUS_SERVER_GRPC_ADAPTER_MESSAGES_H_

#include <vector>

#include "chorus/v1/adapters.pb.h"
#include "engine/adapters/catalog.h"
#include "engine/adapters/residency_state.h"

namespace chorus::server {

// `residency` is the engine's snapshot of all tenants' adapters.
v1::Adapter ToProto(const engine::AdapterInfo& info,
                    const std::vector<engine::AdapterResidency>& residency);

v1::AdapterEvent ToProto(const engine::CatalogEvent& event,
                         const std::vector<engine::AdapterResidency>& residency);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_ADAPTER_MESSAGES_H_
