// SideStream: a device's stream of high priority for work beside a step's stream. Work on it begins
// after what the step's stream held at the fork, and is done before what comes after the join; both
// can be captured. Enqueues only; one thread at a time.
#ifndef CHORUS_ENGINE_MODEL_SIDE_STREAM_H_
#define CHORUS_ENGINE_MODEL_SIDE_STREAM_H_

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/device/device.h"

namespace chorus::engine {

class SideStream {
 public:
  static absl::StatusOr<std::unique_ptr<SideStream>> Create(kernels::Device* device);
  // Waits for what runs.
  ~SideStream();
  SideStream(const SideStream&) = delete;
  SideStream& operator=(const SideStream&) = delete;

  // What is enqueued here from now on comes after what `stream` holds.
  absl::Status Fork(kernels::DeviceStream* stream);
  // What `stream` is asked for from now on comes after what was enqueued here.
  absl::Status Join(kernels::DeviceStream* stream);
  kernels::DeviceStream* stream() const { return stream_.get(); }

 private:
  SideStream() = default;

  std::unique_ptr<kernels::DeviceStream> stream_;
  std::unique_ptr<kernels::DeviceEvent> forked_;
  std::unique_ptr<kernels::DeviceEvent> joined_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_SIDE_STREAM_H_
