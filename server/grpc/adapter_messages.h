// Adapters as messages.
#ifndef CHORUS_SERVER_GRPC_ADAPTER_MESSAGES_H_
#define CHORUS_SERVER_GRPC_ADAPTER_MESSAGES_H_

#include "chorus/v1/adapters.pb.h"
#include "engine/adapters/catalog.h"
#include "engine/adapters/residency_state.h"

namespace chorus::server {

v1::Adapter ToProto(const engine::AdapterInfo& info, engine::ResidencyState residency);

v1::AdapterEvent ToProto(const engine::CatalogEvent& event, engine::ResidencyState residency);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_ADAPTER_MESSAGES_H_
