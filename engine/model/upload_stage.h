// UploadStage: writes from the host into a device's memory through two pinned buffers, of which one
// is filled while the other is copied. What follows on in memory becomes one copy. One thread at a
// time.
#ifndef CHORUS_ENGINE_MODEL_UPLOAD_STAGE_H_
#define CHORUS_ENGINE_MODEL_UPLOAD_STAGE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "kernels/device/device.h"

namespace chorus::engine {

class UploadStage {
 public:
  // `device` must outlive the stage.
  static absl::StatusOr<UploadStage> Create(kernels::Device* device, int64_t buffer_bytes);

  // Room for `bytes` that will lie at `to` on the device, to be filled before the next call.
  // REQUIRES: bytes <= buffer_bytes.
  absl::StatusOr<std::byte*> Reserve(std::byte* to, int64_t bytes);
  // Blocks until everything is there.
  absl::Status Finish();

 private:
  struct Half {
    kernels::DeviceBuffer pinned;
    std::unique_ptr<kernels::DeviceEvent> copied;
  };

  // Enqueues the copy of what was reserved since the last one.
  absl::Status CopyRun();

  std::unique_ptr<kernels::DeviceStream> stream_;
  std::array<Half, 2> halves_;
  size_t half_ = 0;        // that is being filled
  int64_t used_ = 0;       // bytes of it
  int64_t run_begin_ = 0;  // of it, not yet copied
  std::byte* run_to_ = nullptr;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_UPLOAD_STAGE_H_
