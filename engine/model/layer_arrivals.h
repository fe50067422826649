// LayerArrivals: an adapter that is on its way to a device, layer by layer.
#ifndef CHORUS_ENGINE_MODEL_LAYER_ARRIVALS_H_
#define CHORUS_ENGINE_MODEL_LAYER_ARRIVALS_H_

#include <memory>
#include <vector>

#include "kernels/device/device.h"

namespace chorus::engine {

// Whoever reads a layer's pages makes its stream wait for the layer's event first. Shared by the
// copier, which records the events and uses them again when nobody else holds them, and by steps.
struct LayerArrivals {
  std::vector<std::unique_ptr<kernels::DeviceEvent>> layers;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_LAYER_ARRIVALS_H_
