#include "engine/model/tensor_reader.h"

#include <openssl/evp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"
#include "kernels/check.h"
#include "kernels/device/dtype.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DType;

// Fits the second-level cache beside what is being packed.
constexpr size_t kSliceBytes = size_t{256} << 10;

absl::StatusOr<DType> TypeOf(const SafetensorsEntry& entry) {
  if (entry.dtype == "F32") return DType::kF32;
  if (entry.dtype == "BF16") return DType::kBf16;
  if (entry.dtype == "F16") return DType::kF16;
  return Refuse(Reason::kModelUnsupported, entry.name, "F32, F16 or BF16", entry.dtype);
}

template <class T>
void Widen(const std::byte* bytes, std::vector<float>* row) {
  for (size_t i = 0; i < row->size(); ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    (*row)[i] = value.ToFloat();
  }
}

void ToFloats(const std::byte* bytes, DType type, std::vector<float>* row) {
  switch (type) {
    case DType::kF32:
      std::memcpy(row->data(), bytes, row->size() * sizeof(float));
      break;
    case DType::kBf16:
      Widen<kernels::Bf16>(bytes, row);
      break;
    case DType::kF16:
      Widen<kernels::F16>(bytes, row);
      break;
  }
}

bool AllFinite(const std::vector<float>& row) {
  constexpr uint32_t kExponent = 0x7f800000;
  bool found = false;  // no early exit, so that the loop vectorises
  for (const float value : row) {
    found |= (std::bit_cast<uint32_t>(value) & kExponent) == kExponent;
  }
  return !found;
}

absl::Status NotFinite(const SafetensorsEntry& entry, uint64_t first,
                       const std::vector<float>& row) {
  const auto bad =
      std::find_if(row.begin(), row.end(), [](float value) { return !std::isfinite(value); });
  return Refuse(
      Reason::kModelUnsupported,
      absl::StrCat(entry.name, ": element ", first + static_cast<uint64_t>(bad - row.begin())),
      "a finite number", absl::StrCat(*bad));
}

}  // namespace

absl::StatusOr<TensorHash> TensorReader::ReadRows(const CheckpointTensor& tensor, int64_t cols,
                                                  absl::FunctionRef<void(const float* row)> take) {
  const SafetensorsEntry& entry = tensor.entry;
  CHORUS_ASSIGN_OR_RETURN(const DType type, TypeOf(entry));
  const auto row_bytes = static_cast<uint64_t>(cols * kernels::ByteSize(type));
  CHORUS_CHECK(row_bytes > 0 && entry.bytes % row_bytes == 0);
  const uint64_t slice_bytes = std::max<uint64_t>(1, kSliceBytes / row_bytes) * row_bytes;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(),
                                                                     EVP_MD_CTX_free);
  CHORUS_CHECK(EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1);
  row_.resize(static_cast<size_t>(cols));
  for (uint64_t done = 0; done < entry.bytes; done += slice_.size()) {
    slice_.resize(std::min(slice_bytes, entry.bytes - done));
    CHORUS_RETURN_IF_ERROR(tensor.file->Read(entry.offset + done, slice_));
    CHORUS_CHECK(EVP_DigestUpdate(hash.get(), slice_.data(), slice_.size()) == 1);
    for (uint64_t at = 0; at < slice_.size(); at += row_bytes) {
      ToFloats(slice_.data() + at, type, &row_);
      if (!AllFinite(row_)) {
        return NotFinite(entry, (done + at) / static_cast<uint64_t>(kernels::ByteSize(type)), row_);
      }
      take(row_.data());
    }
  }
  TensorHash result;
  CHORUS_CHECK(EVP_DigestFinal_ex(hash.get(), result.data(), nullptr) == 1);
  return result;
}

}  // namespace chorus::engine
