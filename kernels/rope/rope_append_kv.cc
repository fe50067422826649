#include "kernels/rope/rope_append_kv.h"

#include <limits>

#include "kernels/device/arg_check.h"
#include "kernels/rope/rope_append_kv_cpu.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

constexpr int64_t kMaxPosition = std::numeric_limits<int32_t>::max();

absl::Status CheckPositions(const ArgCheck& check, std::span<const int32_t> positions) {
  for (const int32_t position : positions) {
    CHORUS_RETURN_IF_ERROR(check.InRange("position", position, 0, kMaxPosition));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RopeTable(const RopeTableArgs& args, const Stream& stream) {
  const ArgCheck check("RopeTable");
  CHORUS_RETURN_IF_ERROR(
      check.Tensor("cos_sin", args.cos_sin, static_cast<int64_t>(args.positions.size()),
                   static_cast<int64_t>(2 * args.inv_freq.size()), {DType::kF32}));
  CHORUS_RETURN_IF_ERROR(CheckPositions(check, args.positions));
  RopeTableCpu(args, stream.cpu());
  return absl::OkStatus();
}

absl::Status RopeAppendKv(const RopeAppendKvArgs& args, const Stream& stream) {
  const ArgCheck check("RopeAppendKv");
  const PoolView& pool = args.pool;
  CHORUS_RETURN_IF_ERROR(check.Pool(pool, args.slab));
  CHORUS_RETURN_IF_ERROR(check.InRange("heads", args.heads, 1, 1 << 20));
  const int64_t rows = args.qkv.rows;
  const int64_t cols = (args.heads + int64_t{2} * pool.kv_heads) * pool.head_dim;
  CHORUS_RETURN_IF_ERROR(check.Tensor("qkv", args.qkv, ArgCheck::kAny, cols, {DType::kF32}));
  CHORUS_RETURN_IF_ERROR(check.Tensor("cos_sin", args.cos_sin, rows, pool.head_dim, {DType::kF32}));
  CHORUS_RETURN_IF_ERROR(
      check.Count("positions", static_cast<int64_t>(args.positions.size()), rows));
  CHORUS_RETURN_IF_ERROR(check.Count("page_ids", static_cast<int64_t>(args.page_ids.size()), rows));
  CHORUS_RETURN_IF_ERROR(CheckPositions(check, args.positions));
  for (const int32_t id : args.page_ids) {
    CHORUS_RETURN_IF_ERROR(check.InRange("page id", id, 0, pool.num_ids));
  }
  if (rows > 0) RopeAppendKvCpu(args, stream.cpu());
  return absl::OkStatus();
}

}  // namespace chorus::kernels
