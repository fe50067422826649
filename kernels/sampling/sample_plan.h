// PlanSample: the rows of Sample as the device's kernel takes them, in arrays to copy. Pure C++.
#ifndef CHORUS_KERNELS_SAMPLING_SAMPLE_PLAN_H_
#define CHORUS_KERNELS_SAMPLING_SAMPLE_PLAN_H_

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "kernels/sampling/sample.h"
#include "kernels/sampling/sample_kernel.h"

namespace chorus::kernels {

struct SamplePlan {
  std::vector<DeviceSampleRow> rows;
  std::vector<SamplePenalty> penalties;  // of all rows
  std::vector<SampleBias> biases;

  std::vector<int32_t> places;  // [valid_vocabulary] of ids in `penalties`, all -1 between rows
};

// Replaces the plan's rows. InvalidArgument as Sample; also when a row wants more than
// kMaxTopLogprobs.
absl::Status PlanSample(std::span<const SampleRow> rows, int32_t logit_rows,
                        int32_t valid_vocabulary, SamplePlan& plan);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_SAMPLING_SAMPLE_PLAN_H_
