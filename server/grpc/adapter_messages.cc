#include "server/grpc/adapter_messages.h"

#include "absl/strings/str_cat.h"

namespace chorus::server {
namespace {

using engine::ResidencyState;

v1::Adapter::State StateOf(engine::AdapterState state) {
  switch (state) {
    case engine::AdapterState::kReady:
      return v1::Adapter::READY;
    case engine::AdapterState::kDeleting:
      return v1::Adapter::DELETING;
    case engine::AdapterState::kDamaged:
      return v1::Adapter::DAMAGED;
  }
  return v1::Adapter::STATE_UNSPECIFIED;
}

v1::Adapter::Residency ResidencyOf(ResidencyState state) {
  switch (state) {
    case ResidencyState::kResident:
      return v1::Adapter::RESIDENT;
    case ResidencyState::kLoading:
    case ResidencyState::kArriving:
      return v1::Adapter::LOADING;
    case ResidencyState::kDisk:
    case ResidencyState::kCancelling:
      return v1::Adapter::DISK;
  }
  return v1::Adapter::RESIDENCY_UNSPECIFIED;
}

v1::AdapterEvent::Kind KindOf(engine::CatalogEvent::Kind kind) {
  switch (kind) {
    case engine::CatalogEvent::Kind::kPut:
      return v1::AdapterEvent::PUT;
    case engine::CatalogEvent::Kind::kDeleting:
      return v1::AdapterEvent::DELETING;
    case engine::CatalogEvent::Kind::kDeleted:
      return v1::AdapterEvent::DELETED;
    case engine::CatalogEvent::Kind::kPinned:
      return v1::AdapterEvent::PINNED;
    case engine::CatalogEvent::Kind::kSnapshotEnd:
      return v1::AdapterEvent::SNAPSHOT_END;
  }
  return v1::AdapterEvent::KIND_UNSPECIFIED;
}

}  // namespace

v1::Adapter ToProto(const engine::AdapterInfo& info, ResidencyState residency) {
  v1::Adapter adapter;
  adapter.set_name(info.name);
  adapter.set_version(info.version);
  adapter.set_digest(absl::StrCat("sha256:", info.digest.Hex()));
  adapter.set_state(StateOf(info.state));
  adapter.set_shared(info.tenant == engine::kSharedTenant);
  adapter.set_config_bytes(static_cast<uint64_t>(info.config_bytes));
  adapter.set_tensor_bytes(static_cast<uint64_t>(info.tensor_bytes));
  adapter.set_max_rank(info.max_rank);
  adapter.set_pages(info.pages);
  for (const std::string& module : info.modules) adapter.add_modules(module);
  adapter.set_base_model_name_or_path(info.base_model_name_or_path);
  for (const std::string& warning : info.warnings) adapter.add_warnings(warning);
  const int64_t nanos = absl::ToUnixNanos(info.created);
  adapter.mutable_created()->set_seconds(nanos / 1'000'000'000);
  adapter.mutable_created()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  adapter.set_pinned(info.pinned);
  adapter.set_residency(ResidencyOf(residency));
  for (const int32_t token : info.invocation) adapter.add_alora_invocation_tokens(token);
  return adapter;
}

v1::AdapterEvent ToProto(const engine::CatalogEvent& event, ResidencyState residency) {
  v1::AdapterEvent message;
  message.set_revision(event.revision);
  message.set_kind(KindOf(event.kind));
  if (event.kind != engine::CatalogEvent::Kind::kSnapshotEnd) {
    *message.mutable_adapter() = ToProto(event.adapter, residency);
  }
  return message;
}

}  // namespace chorus::server
