#include "kernels/attention/device_attention.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "kernels/device/arg_check.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

// The kernels copy 16 bytes at a time.
absl::Status CheckAddress(const ArgCheck& check, absl::string_view name, const void* pointer) {
  CHORUS_RETURN_IF_ERROR(check.NotNull(name, pointer));
  if (reinterpret_cast<uintptr_t>(pointer) % 16 == 0) return absl::OkStatus();
  return check.Fail(absl::StrCat(name, " is not 16-byte aligned"));
}

}  // namespace

absl::Status CheckDeviceAttention(const DeviceAttentionArgs& args) {
  const ArgCheck check("PagedAttention");
  CHORUS_RETURN_IF_ERROR(check.NotNull("layout", args.layout));
  const AttentionLimits& limits = args.layout->limits;
  const PoolView& pool = args.pool;
  if (pool.dtype == DType::kF32 || pool.kv_heads != limits.kv_heads ||
      pool.head_dim != limits.head_dim) {
    return check.Fail(absl::StrCat("pool has ", pool.kv_heads, " KV heads of ", pool.head_dim, " ",
                                   std::string(Name(pool.dtype)), ", want ", limits.kv_heads,
                                   " of ", limits.head_dim, " bf16 or f16"));
  }
  CHORUS_RETURN_IF_ERROR(check.InRange("slab", args.slab, 0, pool.num_slabs));
  if (args.q_stride < int64_t{limits.heads} * limits.head_dim || args.q_stride % 8 != 0 ||
      args.q_stride > std::numeric_limits<int32_t>::max() / limits.max_rows) {
    return check.Fail(absl::StrCat("q_stride is ", args.q_stride, ", want a multiple of 8 from ",
                                   int64_t{limits.heads} * limits.head_dim,
                                   ", its product with the rows within 31 bits"));
  }
  if (!args.split && limits.captured) return check.Fail("not split, want the split of a graph");
  CHORUS_RETURN_IF_ERROR(check.NotNull("page_ids", args.page_ids));
  CHORUS_RETURN_IF_ERROR(CheckAddress(check, "plan", args.plan));
  CHORUS_RETURN_IF_ERROR(CheckAddress(check, "q", args.q));
  CHORUS_RETURN_IF_ERROR(CheckAddress(check, "pool", pool.base));
  CHORUS_RETURN_IF_ERROR(CheckAddress(check, "workspace", args.workspace));
  return CheckAddress(check, "y", args.y);
}

}  // namespace chorus::kernels
