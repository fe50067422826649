// RopeAppendKv: norms (Qwen3) and rotates q and k, and writes k and v into their pages.
#ifndef CHORUS_KERNELS_ROPE_ROPE_APPEND_KV_H_
#define CHORUS_KERNELS_ROPE_ROPE_APPEND_KV_H_

#include <span>

#include "absl/status/status.h"
#include "kernels/device/pool_view.h"
#include "kernels/device/stream.h"

namespace chorus::kernels {

struct RopeTableArgs {
  std::span<const int32_t> positions;  // [rows]
  std::span<const float> inv_freq;     // [head_dim / 2]
  float attention_scaling = 1.0f;      // multiplies cos and sin (yarn)
  TensorView cos_sin;                  // [rows, head_dim] f32: head_dim/2 cos, then head_dim/2 sin
};

// cos and sin of position · inv_freq, the product in f32 as transformers forms it. Once a step.
absl::Status RopeTable(const RopeTableArgs& args, const Stream& stream);

struct RopeAppendKvArgs {
  TensorView qkv;                    // [rows, (heads + 2 kv_heads) · head_dim] f32: q | k | v; q is
                                     // normed and rotated in place, k and v are left undefined
  TensorView cos_sin;                // [rows, head_dim] f32, from RopeTable
  const float* q_norm = nullptr;     // [head_dim] RMSNorm weight over each head, or null
  const float* k_norm = nullptr;     // [head_dim] or null
  float norm_eps = 0.0f;
  int32_t heads = 0;
  std::span<const int32_t> positions;  // [rows]
  std::span<const int32_t> page_ids;   // [rows] the page that holds each row's position
  PoolView pool;
  int32_t slab = 0;
};

// Rotation pairs element i with i + head_dim/2 (the Hugging Face order). Token t lies at
// t % kPageTokens of its page. InvalidArgument when shapes or types do not fit.
absl::Status RopeAppendKv(const RopeAppendKvArgs& args, const Stream& stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ROPE_ROPE_APPEND_KV_H_
