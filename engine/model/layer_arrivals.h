// LayerArrivals: an adapter that is on its way to a device, layer by layer. Shared by the copier,
// which has recorded all events and reports what it sees, and by steps that wait for layers.
// Thread-safe.
#ifndef CHORUS_ENGINE_MODEL_LAYER_ARRIVALS_H_
#define CHORUS_ENGINE_MODEL_LAYER_ARRIVALS_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "kernels/device/device.h"
#include "kernels/mutex.h"

namespace chorus::engine {

struct ArrivalProgress {
  int32_t layers_there = 0;   // the first ones
  absl::Time at;              // when the last of them was seen, or the copies began
  absl::Duration layer_time;  // that one more is expected to take
};

class LayerArrivals {
 public:
  using Events = std::vector<std::unique_ptr<kernels::DeviceEvent>>;

  explicit LayerArrivals(Events layers) : layers_(std::move(layers)) {}

  // Whoever reads a layer's pages makes its stream wait for the layer's event first.
  const Events& layers() const { return layers_; }

  ArrivalProgress progress() const {
    kernels::MutexLock lock(&mutex_);
    return progress_;
  }
  void SetProgress(const ArrivalProgress& progress) {
    kernels::MutexLock lock(&mutex_);
    progress_ = progress;
  }

 private:
  const Events layers_;
  mutable kernels::Mutex mutex_;
  ArrivalProgress progress_ CHORUS_GUARDED_BY(mutex_);
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_LAYER_ARRIVALS_H_
