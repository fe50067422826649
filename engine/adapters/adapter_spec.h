// AdapterSpec: what an uploaded PEFT LoRA adapter is, after every check: which linears it changes,
// at which rank and scale, and where in its file the tensors lie.
#ifndef CHORUS_ENGINE_ADAPTERS_ADAPTER_SPEC_H_
#define CHORUS_ENGINE_ADAPTERS_ADAPTER_SPEC_H_

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/device/dtype.h"
#include "kernels/lora/slots.h"

namespace chorus::engine {

// SHA-256 of an adapter's meaning (grammar in adapter_digest.h). Names point at digests; caches,
// pages and metrics carry the digest.
struct AdapterDigest {
  std::array<uint8_t, 32> bytes{};

  std::string Hex() const;  // 64 lower-case digits
  // "sha256:" + 64 digits, or the digits alone. InvalidArgument otherwise.
  static absl::StatusOr<AdapterDigest> Parse(std::string_view text);
  auto operator<=>(const AdapterDigest&) const = default;

  template <typename H>
  friend H AbslHashValue(H state, const AdapterDigest& digest) {
    return H::combine(std::move(state), digest.bytes);
  }
};

// A tensor inside the adapter's safetensors file.
struct TensorSpan {
  kernels::DType dtype = kernels::DType::kF32;
  uint64_t offset = 0;  // from the start of the file
  uint64_t bytes = 0;
};

struct AdapterModule {
  int32_t layer = 0;
  kernels::LoraModule module = kernels::kQ;
  int32_t rank = 0;
  double alpha = 0.0;
  float scale = 0.0f;              // alpha / rank, or alpha / sqrt(rank) with rsLoRA
  TensorSpan a;                    // [rank, inputs]
  TensorSpan b;                    // [outputs, rank]
  std::optional<TensorSpan> bias;  // [outputs]
};

struct AdapterSpec {
  AdapterDigest digest;
  bool use_rslora = false;
  // Token ids that activate it (aLoRA, Greenewald et al. 2504.12397): it computes from their last
  // occurrence in the prompt on. Empty: from the first token on.
  std::vector<int32_t> invocation;
  std::vector<AdapterModule> modules;   // ascending by (layer, module), at least one
  std::string base_model_name_or_path;  // informational
  std::vector<std::string> warnings;  // "alpha is 0", "base model differs: …", lost precision …

  int32_t max_rank() const;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_ADAPTER_SPEC_H_
