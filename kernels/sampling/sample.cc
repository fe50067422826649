#include "kernels/sampling/sample.h"

#include "kernels/device/arg_check.h"
#include "kernels/sampling/sample_row.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {

absl::Status CheckSampling(const ArgCheck& check, const SamplingParams* params) {
  CHORUS_RETURN_IF_ERROR(check.NotNull("params", params));
  if (!(params->temperature >= 0.0f) || !(params->top_p >= 0.0f) || !(params->min_p >= 0.0f) ||
      !(params->repetition_penalty > 0.0f)) {
    return check.Fail("a row has a negative or NaN parameter");
  }
  return absl::OkStatus();
}

absl::Status Sample(const SampleArgs& args, const Stream& stream) {
  const ArgCheck check("Sample");
  CHORUS_RETURN_IF_ERROR(
      check.Tensor("logits", args.logits, ArgCheck::kAny, ArgCheck::kAny, {DType::kF32}));
  const auto rows = static_cast<int64_t>(args.rows.size());
  CHORUS_RETURN_IF_ERROR(check.Count("tokens", static_cast<int64_t>(args.tokens.size()), rows));
  if (rows == 0) return absl::OkStatus();
  CHORUS_RETURN_IF_ERROR(
      check.InRange("valid_vocabulary", args.valid_vocabulary, 1, args.logits.cols + 1));
  for (const SampleRow& row : args.rows) {
    CHORUS_RETURN_IF_ERROR(check.InRange("logits_row", row.logits_row, 0, args.logits.rows));
    CHORUS_RETURN_IF_ERROR(CheckSampling(check, row.params));
  }
  stream.cpu().ParallelFor(rows, 1, [&](int64_t begin, int64_t end, int) {
    thread_local SampleScratch scratch;
    for (int64_t i = begin; i < end; ++i) {
      const auto index = static_cast<size_t>(i);
      const SampleRow& row = args.rows[index];
      SampleOne(
          row, {args.logits.Row<float>(row.logits_row), static_cast<size_t>(args.valid_vocabulary)},
          scratch, args.tokens[index]);
    }
  });
  return absl::OkStatus();
}

}  // namespace chorus::kernels
