#include "engine/model/decode_graphs.h"

#include <utility>

#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::engine {

absl::Status DecodeGraphs::Capture(const DeviceStep& step, DeviceDecoder* decoder,
                                   kernels::DeviceStream* stream) {
  CHORUS_CHECK(step.shape.chunk_rows == 0 && Find(step.shape) == nullptr);
  CHORUS_RETURN_IF_ERROR(decoder->Run(step, stream));
  CHORUS_RETURN_IF_ERROR(stream->Synchronize());
  CHORUS_RETURN_IF_ERROR(stream->BeginCapture());
  const absl::Status captured = decoder->Run(step, stream);
  absl::StatusOr<std::unique_ptr<kernels::DeviceGraph>> graph = stream->EndCapture();
  CHORUS_RETURN_IF_ERROR(captured);
  CHORUS_RETURN_IF_ERROR(graph.status());
  entries_.push_back({step.shape.rows, step.shape.lora, *std::move(graph)});
  return absl::OkStatus();
}

kernels::DeviceGraph* DecodeGraphs::Find(const StepShape& shape) const {
  if (shape.chunk_rows > 0) return nullptr;
  for (const Entry& entry : entries_) {
    if (entry.rows == shape.rows && entry.lora == shape.lora) return entry.graph.get();
  }
  return nullptr;
}

}  // namespace chorus::engine
