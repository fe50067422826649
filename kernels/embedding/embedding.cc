#include "kernels/embedding/embedding.h"

#include "kernels/device/arg_check.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {

absl::Status Embedding(const EmbeddingArgs& args, const Stream& stream) {
  const ArgCheck check("Embedding");
  CHORUS_RETURN_IF_ERROR(check.NotNull("table", args.table));
  const auto rows = static_cast<int64_t>(args.tokens.size());
  CHORUS_RETURN_IF_ERROR(check.Tensor("y", args.y, rows, args.table->inputs(), {DType::kF32}));
  for (const int32_t token : args.tokens) {
    CHORUS_RETURN_IF_ERROR(check.InRange("token", token, 0, args.table->outputs()));
  }
  stream.cpu().ParallelFor(rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      args.table->GetRow(args.tokens[static_cast<size_t>(row)], args.y.Row<float>(row));
    }
  });
  return absl::OkStatus();
}

}  // namespace chorus::kernels
