// DeviceAdapterPages: brings adapters into a pool on a device: from the store into pinned memory,
// where they stay as long as there is room (HostImages), and from there by copies on a stream of
// their own, layer by layer.
//
//   store ──loader threads, CRC──▶ HostImages ──copy stream, an event a layer──▶ pages
//
// A load that heads the copies says so (LoadObserver::Arriving), so that its first step need not
// wait for its end. Freed pages may be written at once, because a pool gives them out only when the
// host has waited for the steps and copies that used them. Thread-safe.
#ifndef CHORUS_ENGINE_ADAPTERS_DEVICE_ADAPTER_PAGES_H_
#define CHORUS_ENGINE_ADAPTERS_DEVICE_ADAPTER_PAGES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_target.h"
#include "engine/adapters/host_images.h"
#include "engine/clock.h"
#include "kernels/device/device.h"
#include "kernels/device/pool_view.h"
#include "kernels/lora/tiles.h"
#include "kernels/mutex.h"

namespace chorus::engine {

struct DeviceAdapterOptions {
  int64_t pinned_bytes = 0;  // of the host, for images; the largest adapter must fit
  int64_t chunk_bytes = int64_t{1} << 20;
};

class DeviceAdapterPages : public AdapterTarget {
 public:
  // `pool` is the device's, not in use yet: a few copies into it are timed. Before Device::Seal.
  // ResourceExhausted when the host has no such memory. `device`, the pool's memory and `clock`
  // outlive it.
  static absl::StatusOr<std::unique_ptr<DeviceAdapterPages>> Create(
      kernels::Device* device, const kernels::PoolView& pool, const DeviceAdapterOptions& options,
      const Clock* clock);

  absl::Status Load(const AdapterVersion& adapter, std::span<const int32_t> cells,
                    LoadObserver* observer) override;
  void Forget(const std::string& tenant, const AdapterDigest& digest) override {
    images_->Forget({tenant, digest});
  }

  int64_t pinned_bytes() const { return images_->total_bytes(); }
  double bytes_per_second() const { return bytes_per_second_; }  // of copies, as measured at start

 private:
  // The copies of one load.
  struct Copies {
    const ImageLayout& layout;
    CellRuns runs;
    HostImages::ImageRef image;
    std::shared_ptr<LayerArrivals> arrivals;
    std::unique_ptr<kernels::DeviceEvent> end;  // of all that was enqueued
  };

  DeviceAdapterPages(kernels::Device* device, const kernels::PoolView& pool,
                     std::unique_ptr<HostImages> images,
                     std::unique_ptr<kernels::DeviceStream> stream, const Clock* clock)
      : device_(*device),
        pool_(pool),
        images_(std::move(images)),
        stream_(std::move(stream)),
        clock_(*clock) {}

  absl::Status MeasureCopies(int64_t run_bytes);
  absl::StatusOr<Copies> MakeCopies(const AdapterVersion& adapter, std::span<const int32_t> cells);
  // Brings every layer into the image, unless `reader` is null: it is there; and enqueues its
  // copies.
  absl::Status Enqueue(const ImageReader* reader, const Copies& copies,
                       const LoadObserver& observer);
  absl::Status EnqueueLayer(int32_t layer, const Copies& copies) CHORUS_EXCLUDES(mutex_);
  // Until every layer is there; who has the arrivals sees how far it is.
  absl::Status AwaitLayers(const Copies& copies) const;
  // Until nothing that was enqueued writes any more.
  absl::Status AwaitEnd(const Copies& copies) CHORUS_EXCLUDES(mutex_);
  int64_t LayerBegin(const ImageLayout& layout, int32_t layer) const {
    return layout.layer_tiles_begin[static_cast<size_t>(layer)] * kernels::TileBytes(pool_.dtype);
  }

  kernels::Device& device_;
  const kernels::PoolView pool_;
  const std::unique_ptr<HostImages> images_;
  const std::unique_ptr<kernels::DeviceStream> stream_;  // used under mutex_
  const Clock& clock_;
  double bytes_per_second_ = 0.0;
  kernels::Mutex mutex_;
  int32_t num_copying_ CHORUS_GUARDED_BY(mutex_) = 0;  // loads whose copies may be under way
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_DEVICE_ADAPTER_PAGES_H_
