#include "engine/model/upload_stage.h"

#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::engine {

absl::StatusOr<UploadStage> UploadStage::Create(kernels::Device* device, int64_t buffer_bytes) {
  UploadStage stage;
  CHORUS_ASSIGN_OR_RETURN(stage.stream_, device->NewStream(kernels::Device::Priority::kNormal));
  for (Half& half : stage.halves_) {
    CHORUS_ASSIGN_OR_RETURN(half.pinned, device->AllocatePinned(buffer_bytes));
    CHORUS_ASSIGN_OR_RETURN(half.copied, device->NewEvent());
  }
  return stage;
}

absl::StatusOr<std::byte*> UploadStage::Reserve(std::byte* to, int64_t bytes) {
  CHORUS_CHECK_LE(bytes, halves_[half_].pinned.bytes());
  const bool full = used_ + bytes > halves_[half_].pinned.bytes();
  if (full || to != run_to_ + (used_ - run_begin_)) {
    CHORUS_RETURN_IF_ERROR(CopyRun());
    run_to_ = to;
  }
  if (full) {
    CHORUS_RETURN_IF_ERROR(stream_->Record(halves_[half_].copied.get()));
    half_ = 1 - half_;
    CHORUS_RETURN_IF_ERROR(halves_[half_].copied->Wait());
    used_ = 0;
    run_begin_ = 0;
  }
  std::byte* const room = halves_[half_].pinned.data() + used_;
  used_ += bytes;
  return room;
}

absl::Status UploadStage::CopyRun() {
  if (used_ == run_begin_) return absl::OkStatus();
  CHORUS_RETURN_IF_ERROR(stream_->CopyToDevice(run_to_, halves_[half_].pinned.data() + run_begin_,
                                               used_ - run_begin_));
  run_begin_ = used_;
  return absl::OkStatus();
}

absl::Status UploadStage::Finish() {
  CHORUS_RETURN_IF_ERROR(CopyRun());
  run_to_ = nullptr;
  return stream_->Synchronize();
}

}  // namespace chorus::engine
