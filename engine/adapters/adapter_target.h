// AdapterTarget: where loads bring adapters. HostAdapterPages reads them straight into a pool in
// the host's memory; DeviceAdapterPages (device_adapter_pages.h) brings them to a device.
// Thread-safe.
#ifndef CHORUS_ENGINE_ADAPTERS_ADAPTER_TARGET_H_
#define CHORUS_ENGINE_ADAPTERS_ADAPTER_TARGET_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "engine/adapters/adapter_version.h"
#include "engine/model/layer_arrivals.h"
#include "kernels/device/pool_view.h"

namespace chorus::engine {

// Who started a load, as the target that performs it sees it. Any thread.
class LoadObserver {
 public:
  virtual ~LoadObserver() = default;
  // The load is not wanted any more: end it soon.
  virtual bool cancelled() const = 0;
  // Called at most once, when nothing but the device's copies is left: steps that wait for each
  // layer may use the adapter. From now on the load cannot be cancelled.
  virtual void Arriving(std::shared_ptr<const LayerArrivals> arrivals) = 0;
};

class AdapterTarget {
 public:
  virtual ~AdapterTarget() = default;

  // Fills `cells`, those of the adapter's lease in fill order. Blocks until nothing writes them any
  // more, whatever the outcome; then, if OK, every step may read them. Cancelled when the observer
  // said so in time, otherwise what the store or the device says. Loader threads, several at once.
  virtual absl::Status Load(const AdapterVersion& adapter, std::span<const int32_t> cells,
                            LoadObserver* observer) = 0;
  // Nothing is kept of this content for a later load.
  virtual void Forget(const std::string& tenant, const AdapterDigest& digest) = 0;
};

// Over a pool in the host's memory, which must outlive it.
class HostAdapterPages : public AdapterTarget {
 public:
  explicit HostAdapterPages(const kernels::PoolView& pool) : pool_(pool) {}

  absl::Status Load(const AdapterVersion& adapter, std::span<const int32_t> cells,
                    LoadObserver* observer) override;
  void Forget(const std::string&, const AdapterDigest&) override {}  // it keeps nothing

 private:
  const kernels::PoolView pool_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_ADAPTER_TARGET_H_
