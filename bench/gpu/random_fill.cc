#include "bench/gpu/random_fill.h"

#include <algorithm>

#include "bench/gpu/hash_bf16.h"
#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/device/dtype.h"
#include "kernels/status_macros.h"

namespace chorus::bench {
namespace {

constexpr int64_t kStep = 256;  // of places where a piece may begin

}  // namespace

absl::StatusOr<RandomFill> RandomFill::Create(kernels::Device* device, int64_t pattern_bytes,
                                              int64_t max_vector) {
  RandomFill fill;
  CHORUS_ASSIGN_OR_RETURN(fill.stream_, device->NewStream(kernels::Device::Priority::kNormal));
  // An odd number of steps: memory that is a power of two apart begins elsewhere in the pattern.
  const int64_t bytes = (kernels::CeilDiv(pattern_bytes, kStep) | 1) * kStep;
  CHORUS_ASSIGN_OR_RETURN(fill.pattern_, device->Allocate(bytes));
  CHORUS_ASSIGN_OR_RETURN(const kernels::DeviceBuffer pinned, device->AllocatePinned(bytes));
  for (int64_t i = 0; i < bytes / 2; ++i) {
    pinned.As<uint16_t>()[i] = HashBf16(static_cast<uint64_t>(i));
  }
  CHORUS_RETURN_IF_ERROR(fill.stream_->CopyToDevice(fill.pattern_.data(), pinned.data(), bytes));
  for (int offset = 0; offset < 2; ++offset) {
    CHORUS_ASSIGN_OR_RETURN(fill.vectors_[offset], device->AllocatePinned(max_vector * 4));
    for (int64_t i = 0; i < max_vector; ++i) {
      const uint16_t bits = HashBf16(static_cast<uint64_t>(i));
      fill.vectors_[offset].As<float>()[i] =
          static_cast<float>(offset) + kernels::Bf16{bits}.ToFloat();
    }
  }
  CHORUS_RETURN_IF_ERROR(fill.stream_->Synchronize());
  return fill;
}

absl::Status RandomFill::Bf16(std::byte* to, int64_t bytes, uint64_t salt) {
  const auto steps = static_cast<uint64_t>(pattern_.bytes() / kStep);
  int64_t from = static_cast<int64_t>(salt * 0x9e3779b97f4a7c15ull % steps) * kStep;
  while (bytes > 0) {
    const int64_t piece = std::min(bytes, pattern_.bytes() - from);
    CHORUS_RETURN_IF_ERROR(stream_->CopyOnDevice(to, pattern_.data() + from, piece));
    to += piece;
    bytes -= piece;
    from = 0;
  }
  return absl::OkStatus();
}

absl::Status RandomFill::Floats(std::byte* to, int64_t count, int offset) {
  CHORUS_CHECK_LE(count * 4, vectors_[offset].bytes());
  return stream_->CopyToDevice(to, vectors_[offset].data(), count * 4);
}

}  // namespace chorus::bench
