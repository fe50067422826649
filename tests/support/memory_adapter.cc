#include "tests/support/memory_adapter.h"

#include <span>
#include <utility>

#include "engine/adapters/peft_reader.h"
#include "kernels/status_macros.h"

namespace chorus::test {
namespace {

std::unique_ptr<engine::ByteSource> Borrow(std::string_view text) {
  return engine::BorrowBytes(std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const MemoryAdapter>> MemoryAdapter::Make(
    const std::string& tenant, const std::string& name, std::string_view config,
    std::string_view tensors, const engine::ModelConfig& model, const kernels::PoolView& geometry) {
  const std::unique_ptr<engine::ByteSource> file = Borrow(tensors);
  CHORUS_ASSIGN_OR_RETURN(engine::AdapterSpec spec, engine::ReadPeftAdapter(config, *file, model));
  const engine::ImageTarget target{.model = model, .geometry = geometry};
  engine::ImageLayout layout = engine::ImageLayout::Make(spec, target);
  std::shared_ptr<MemoryAdapter> adapter(
      new MemoryAdapter(tenant, name, std::move(spec), std::move(layout)));
  adapter->fingerprint_ = engine::ImageFingerprint(target);
  CHORUS_RETURN_IF_ERROR(engine::WriteImage(
      adapter->spec_, *file, target,
      [&](std::span<const std::byte> bytes) {
        adapter->image_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return absl::OkStatus();
      },
      &adapter->image_warnings_));
  return adapter;
}

MemoryAdapter::MemoryAdapter(const std::string& tenant, const std::string& name,
                             engine::AdapterSpec spec, engine::ImageLayout layout)
    : AdapterVersion(tenant, name, 1, spec.digest, std::move(layout), spec.invocation),
      spec_(std::move(spec)) {}

absl::StatusOr<std::unique_ptr<engine::ImageReader>> MemoryAdapter::OpenImage() const {
  return engine::ImageReader::Open(Borrow(image_), fingerprint_);
}

}  // namespace chorus::test
