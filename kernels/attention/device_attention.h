// DeviceAttentionArgs: paged attention on a device, as AttentionPlanner cut it. PagedAttentionCuda
// runs it (kernels/attention/paged_attention_cuda.h), and the simulator's loops in tests/simt.
#ifndef CHORUS_KERNELS_ATTENTION_DEVICE_ATTENTION_H_
#define CHORUS_KERNELS_ATTENTION_DEVICE_ATTENTION_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "kernels/attention/plan.h"
#include "kernels/device/pool_view.h"

namespace chorus::kernels {

// Pointers are the device's, but for `layout`; all must live until the work is done.
struct DeviceAttentionArgs {
  const AttentionLayout* layout = nullptr;  // of the plan
  const std::byte* plan = nullptr;          // what Plan wrote, 16-byte aligned
  bool split = true;                        // as Plan said
  const int32_t* page_ids = nullptr;        // the step's
  const void* q = nullptr;                  // [max_rows, q_stride] of the pool's type, rotated
  int64_t q_stride = 0;                     // at least heads · head_dim, a multiple of 8
  float scale = 1.0f;
  PoolView pool;  // bf16 or f16, kv_heads and head_dim as in the layout
  int32_t slab = 0;
  std::byte* workspace = nullptr;  // layout->workspace_bytes(), overwritten; 16-byte aligned
  // Its kernels may begin before those before them are done, as LaunchBegin has it. REQUIRES: what
  // the stream was last asked for is a launch.
  bool begin_early = false;
  void* y = nullptr;  // [max_rows, heads · head_dim] of the pool's type, overwritten; rows behind
                      // the last sequence's become zero if `split`, else they are left alone
};

// InvalidArgument when sizes, types or alignments do not fit.
absl::Status CheckDeviceAttention(const DeviceAttentionArgs& args);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ATTENTION_DEVICE_ATTENTION_H_
