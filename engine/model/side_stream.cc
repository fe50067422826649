#include "engine/model/side_stream.h"

#include "kernels/status_macros.h"

namespace chorus::engine {

absl::StatusOr<std::unique_ptr<SideStream>> SideStream::Create(kernels::Device* device) {
  std::unique_ptr<SideStream> side(new SideStream);
  CHORUS_ASSIGN_OR_RETURN(side->stream_, device->NewStream(kernels::Device::Priority::kHigh));
  CHORUS_ASSIGN_OR_RETURN(side->forked_, device->NewEvent());
  CHORUS_ASSIGN_OR_RETURN(side->joined_, device->NewEvent());
  return side;
}

SideStream::~SideStream() {
  // What could be said of an error was said by the call that met it first.
  if (stream_ != nullptr) stream_->Synchronize().IgnoreError();
}

absl::Status SideStream::Fork(kernels::DeviceStream* stream) {
  CHORUS_RETURN_IF_ERROR(stream->Record(forked_.get()));
  return stream_->Wait(forked_.get());
}

absl::Status SideStream::Join(kernels::DeviceStream* stream) {
  CHORUS_RETURN_IF_ERROR(stream_->Record(joined_.get()));
  return stream->Wait(joined_.get());
}

}  // namespace chorus::engine
