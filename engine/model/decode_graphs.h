// DecodeGraphs: the layers of steps that only decode, captured once for each row bucket, with LoRA
// and without. What differs from step to step is data that the kernels read, so one graph serves
// every mix of sequences, adapters and ranks. Constant once captured.
#ifndef CHORUS_ENGINE_MODEL_DECODE_GRAPHS_H_
#define CHORUS_ENGINE_MODEL_DECODE_GRAPHS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "engine/model/attention_plans.h"
#include "engine/model/device_decoder.h"
#include "kernels/device/device.h"

namespace chorus::engine {

class DecodeGraphs {
 public:
  // Adds the graph of `step`'s shape, whose block lies on the device by the time `stream` is there:
  // runs the layers once, since a kernel may have to be loaded, then captures them. Once for a
  // shape.
  absl::Status Capture(const DeviceStep& step, DeviceDecoder* decoder,
                       kernels::DeviceStream* stream);

  // Null when the shape has none.
  kernels::DeviceGraph* Find(const StepShape& shape) const;

 private:
  struct Entry {
    int32_t rows = 0;
    bool lora = false;
    std::unique_ptr<kernels::DeviceGraph> graph;
  };

  std::vector<Entry> entries_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DECODE_GRAPHS_H_
