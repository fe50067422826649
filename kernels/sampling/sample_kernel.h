// Sample on a device: the same tokens as the CPU op (kernels/sampling/sample.h says which) from the
// same logits.
//
// Keys are compared as integers and counts are integers, so selections are exact. Sums run in fixed
// orders: those of whole rows and of drawing in the CPU's own, hence with equal bits; those of what
// top-p cuts err by less than n · 2^-52 of the total of n weights, as the CPU's do, and only where
// its limit lies that close to a sum may another token be kept.
#ifndef CHORUS_KERNELS_SAMPLING_SAMPLE_KERNEL_H_
#define CHORUS_KERNELS_SAMPLING_SAMPLE_KERNEL_H_

#include <cstdint>

#include "kernels/device/device_code.h"
#include "kernels/device/kernel.h"
#include "kernels/sampling/logit_scans.h"

namespace chorus::kernels {

constexpr int32_t kMaxTopLogprobs = 20;

// One row to sample, as SampleRow and SamplingParams say it. Made by PlanSample.
struct DeviceSampleRow {
  int32_t logits_row;
  float temperature;
  int32_t top_k;
  float top_p;
  float min_p;
  float repetition_penalty;
  float presence_penalty;
  float frequency_penalty;
  uint64_t seed;
  int64_t position;
  int32_t choice;
  int32_t num_logprobs;
  int32_t first_penalty;
  int32_t num_penalties;
  int32_t first_bias;
  int32_t num_biases;
};

// An id of prompt or output; ids of a row are distinct and valid.
struct SamplePenalty {
  int32_t id;
  int32_t output_count;  // how often in the output
};
struct SampleBias {
  int32_t id;
  float bias;
};

struct DeviceTokenLogprob {
  int32_t token;
  float logprob;
};

// All pointers are the device's.
struct SampleParams {
  const float* logits;             // [logit_rows, stride]
  const DeviceSampleRow* rows;     // [capacity]
  const int32_t* num_rows;         // how many of them are meant
  const SamplePenalty* penalties;  // [penalty_capacity]
  const SampleBias* biases;        // [bias_capacity]
  float* scores;                   // [capacity, valid_vocabulary], scratch
  int32_t* tokens;                 // [capacity], overwritten up to num_rows; -1 as the CPU op
  float* logprobs;                 // [capacity], where num_logprobs >= 0 and the token is not -1
  DeviceTokenLogprob* top;         // [capacity, kMaxTopLogprobs], the num_logprobs best likewise
  int32_t logit_rows;
  int32_t stride;            // the vocabulary, padding included
  int32_t valid_vocabulary;  // at most stride
  int32_t capacity;
  int32_t penalty_capacity;
  int32_t bias_capacity;
};

constexpr int32_t kSampleThreads = 1024;

// Bytes of shared memory: scratch, then the bins of a histogram, then eight for each scan block.
constexpr int32_t kSampleBins = 2048;
constexpr int32_t kSampleBinsOffset = 1024;
constexpr int32_t kSampleBlocksOffset = kSampleBinsOffset + 4 * kSampleBins;
constexpr int32_t SampleSharedBytes(int32_t valid_vocabulary) {
  return kSampleBlocksOffset + 8 * DivideUp<int32_t>(valid_vocabulary, kScanBlock);
}

// One block a row, SampleSharedBytes of shared memory.
extern const Kernel kSample;

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_SAMPLING_SAMPLE_KERNEL_H_
