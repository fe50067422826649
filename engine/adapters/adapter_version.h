// AdapterVersion: one immutable version of one tenant's adapter. Shared (hence shared_ptr) by the
// catalog, the requests that run with it and the residency that holds its pages: a deleted version
// is scrubbed from the store when the last of them lets go.
#ifndef CHORUS_ENGINE_ADAPTERS_ADAPTER_VERSION_H_
#define CHORUS_ENGINE_ADAPTERS_ADAPTER_VERSION_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_image.h"
#include "engine/adapters/adapter_spec.h"

namespace chorus::engine {

// Thread-safe.
class AdapterVersion {
 public:
  virtual ~AdapterVersion() = default;

  const std::string& tenant() const { return tenant_; }
  const std::string& name() const { return name_; }
  int64_t version() const { return version_; }
  const AdapterDigest& digest() const { return digest_; }
  const ImageLayout& layout() const { return layout_; }
  // As AdapterSpec's: empty, or what activates it.
  const std::vector<int32_t>& invocation() const { return invocation_; }

  // Deleted or replaced: who holds it may still use it, but nothing of it is kept for later. Set by
  // the catalog before it tells the engine to forget, because a request may be on its way there.
  bool retired() const { return retired_.load(std::memory_order_acquire); }
  void Retire() const { retired_.store(true, std::memory_order_release); }

  // Opens the image, rebuilding it from the stored original when it is absent or was made for
  // another layout. Reads files: loader threads only. DataLoss when the original is damaged.
  virtual absl::StatusOr<std::unique_ptr<ImageReader>> OpenImage() const = 0;

 protected:
  AdapterVersion(std::string tenant, std::string name, int64_t version, AdapterDigest digest,
                 ImageLayout layout, std::vector<int32_t> invocation = {})
      : tenant_(std::move(tenant)),
        name_(std::move(name)),
        version_(version),
        digest_(digest),
        layout_(std::move(layout)),
        invocation_(std::move(invocation)) {}

 private:
  const std::string tenant_;
  const std::string name_;
  const int64_t version_;
  const AdapterDigest digest_;
  const ImageLayout layout_;
  const std::vector<int32_t> invocation_;
  mutable std::atomic<bool> retired_{false};
};

using AdapterRef = std::shared_ptr<const AdapterVersion>;

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_ADAPTER_VERSION_H_
