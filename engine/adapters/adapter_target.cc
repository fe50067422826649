#include "engine/adapters/adapter_target.h"

#include "kernels/status_macros.h"

namespace chorus::engine {

absl::Status HostAdapterPages::Load(const AdapterVersion& adapter, std::span<const int32_t> cells,
                                    LoadObserver* observer) {
  CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<ImageReader> image, adapter.OpenImage());
  for (int layer = 0; layer < image->num_layers(); ++layer) {
    if (observer->cancelled()) return absl::CancelledError("load cancelled");
    CHORUS_RETURN_IF_ERROR(image->ReadLayer(layer, cells, pool_));
  }
  return absl::OkStatus();
}

}  // namespace chorus::engine
