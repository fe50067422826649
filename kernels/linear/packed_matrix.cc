#include "kernels/linear/packed_matrix.h"

#include <sys/mman.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/linear/panel.h"

namespace chorus::kernels {
namespace {

constexpr int64_t kHugePageBytes = 2 << 20;

// Zeroed memory from the system, on huge pages where it has them: a step reads all weights once,
// and with small pages a single thread loses a good part of the bandwidth to TLB misses.
std::byte* MapZeroed(int64_t bytes) {
  void* memory = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
  if (bytes >= kHugePageBytes) madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
  return static_cast<std::byte*>(memory);
}

}  // namespace

PackedMatrix::~PackedMatrix() {
  if (data_ != nullptr) munmap(data_, static_cast<size_t>(bytes_));
}

PackedMatrix::PackedMatrix(PackedMatrix&& other) noexcept
    : dtype_(other.dtype_),
      outputs_(std::exchange(other.outputs_, 0)),
      inputs_(std::exchange(other.inputs_, 0)),
      bytes_(std::exchange(other.bytes_, 0)),
      data_(std::exchange(other.data_, nullptr)) {}

PackedMatrix& PackedMatrix::operator=(PackedMatrix&& other) noexcept {
  std::swap(dtype_, other.dtype_);
  std::swap(outputs_, other.outputs_);
  std::swap(inputs_, other.inputs_);
  std::swap(bytes_, other.bytes_);
  std::swap(data_, other.data_);
  return *this;
}

absl::StatusOr<PackedMatrix> PackedMatrix::Allocate(DType dtype, int64_t outputs, int64_t inputs) {
  if ((dtype != DType::kF32 && dtype != DType::kBf16) || outputs < 1 || inputs < 1) {
    return absl::InvalidArgumentError(absl::StrCat("PackedMatrix: [", outputs, ", ", inputs,
                                                   "], want at least [1, 1] in f32 or bf16"));
  }
  const auto out = static_cast<uint64_t>(outputs);
  const auto in = static_cast<uint64_t>(inputs);
  const auto elements = CheckedMul(out + kPanelOutputs, in + 1);
  const auto limit = elements ? CheckedMul(*elements, sizeof(float)) : std::nullopt;
  if (!limit || !CheckedCast<int64_t>(*limit)) {
    return absl::InvalidArgumentError(
        absl::StrCat("PackedMatrix: [", outputs, ", ", inputs, "] has no size in 64 bits"));
  }
  PackedMatrix matrix;
  matrix.dtype_ = dtype;
  matrix.outputs_ = outputs;
  matrix.inputs_ = inputs;
  matrix.bytes_ = CeilDiv(outputs, kPanelOutputs) * PanelBytes(dtype, inputs);
  matrix.data_ = MapZeroed(matrix.bytes_);
  if (matrix.data_ == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "PackedMatrix: [", outputs, ", ", inputs, "] needs ", matrix.bytes_, " bytes of memory"));
  }
  return matrix;
}

void PackedMatrix::SetRow(int64_t output, const float* values) {
  CHORUS_CHECK(output >= 0 && output < outputs_);
  std::byte* const panel = data_ + output / kPanelOutputs * PanelBytes(dtype_, inputs_);
  const int64_t column = output % kPanelOutputs;
  if (dtype_ == DType::kF32) {
    auto* const to = reinterpret_cast<float*>(panel) + column;
    for (int64_t i = 0; i < inputs_; ++i) to[i * kPanelOutputs] = values[i];
    return;
  }
  auto* const to = reinterpret_cast<Bf16*>(panel) + 2 * column;
  for (int64_t i = 0; i < inputs_; ++i) {
    to[i / 2 * (2 * kPanelOutputs) + i % 2] = Bf16::FromFloat(values[i]);
  }
}

void PackedMatrix::GetRow(int64_t output, float* values) const {
  CHORUS_CHECK(output >= 0 && output < outputs_);
  const std::byte* const panel = data_ + output / kPanelOutputs * PanelBytes(dtype_, inputs_);
  const int64_t column = output % kPanelOutputs;
  if (dtype_ == DType::kF32) {
    const auto* const from = reinterpret_cast<const float*>(panel) + column;
    for (int64_t i = 0; i < inputs_; ++i) values[i] = from[i * kPanelOutputs];
    return;
  }
  const auto* const from = reinterpret_cast<const Bf16*>(panel) + 2 * column;
  for (int64_t i = 0; i < inputs_; ++i) {
    values[i] = from[i / 2 * (2 * kPanelOutputs) + i % 2].ToFloat();
  }
}

}  // namespace chorus::kernels
