// RopeAppendKv on a device: what stands between the qkv linear and attention. Adds bias and LoRA
// delta, norms (Qwen3) and rotates q and k, and writes k and v into their pages.
#ifndef CHORUS_KERNELS_ROPE_ROPE_APPEND_KV_KERNEL_H_
#define CHORUS_KERNELS_ROPE_ROPE_APPEND_KV_KERNEL_H_

#include <cstddef>
#include <cstdint>

#include "kernels/device/kernel.h"
#include "kernels/lora/device_lora.h"

namespace chorus::kernels {

// All pointers are the device's. X is the type of `qkv`, T that of `q` and of the pool, D that of
// the delta.
struct RopeAppendKvParams {
  const void* qkv;      // [rows, (heads + 2 kv_heads) · head_dim] X: q | k | v
  const float* bias;    // [(heads + 2 kv_heads) · head_dim] or null
  LoraDelta delta;      // D, of kQ, kK and kV, in the columns of qkv
  const float* q_norm;  // [head_dim] RMSNorm weight over each head, or null
  const float* k_norm;  // [head_dim] or null
  float norm_eps;
  const float* cos_sin;      // [rows, head_dim], from RopeTable
  const int32_t* positions;  // [rows]
  const int32_t* row_pages;  // [rows] the page that holds each row's position; below 0: padding,
                             // whose K and V go nowhere
  void* q;                   // [rows, heads · head_dim] T, overwritten
  std::byte* pool;           // PoolView::base; token t goes to t % kPageTokens of its page
  int64_t num_ids;
  int32_t num_slabs;
  int32_t slab;
  int32_t rows;
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;  // a multiple of 8, up to 256
};

// One block a row. Rotation pairs element i with i + head_dim/2 (the Hugging Face order).
constexpr int32_t kRopeAppendKvThreads = 256;
constexpr int32_t kRopePiece = 4;  // elements of each half of a head in one lane

// Lanes of a head: the power of two that it fills.
CHORUS_HOST_DEVICE constexpr int32_t RopeHeadLanes(int32_t head_dim) {
  int32_t lanes = 1;
  while (lanes < head_dim / 2 / kRopePiece) lanes *= 2;
  return lanes;
}
// A block has as many heads of a row as it has lanes for.
CHORUS_HOST_DEVICE constexpr int32_t RopeAppendKvRowBlocks(int32_t heads, int32_t kv_heads,
                                                           int32_t head_dim) {
  return DivideUp((heads + 2 * kv_heads) * RopeHeadLanes(head_dim), kRopeAppendKvThreads);
}

// Blocks: rows · RopeAppendKvRowBlocks.
extern const Kernel kRopeAppendKvF32Bf16;  // X, then T; D is f32
extern const Kernel kRopeAppendKvBf16;
extern const Kernel kRopeAppendKvF32F16;
extern const Kernel kRopeAppendKvF16;
extern const Kernel kRopeAppendKvF32Bf16Delta16;  // X, then T, which is D
extern const Kernel kRopeAppendKvF32F16Delta16;

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ROPE_ROPE_APPEND_KV_KERNEL_H_
