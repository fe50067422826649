// DeviceSampler: draws a step's tokens from logits on a device. Owns scratch and results. One
// thread and one stream at a time, one step after the other: Plan, Launch for each turn, Fetch,
// then, once the stream is there, Read.
#ifndef CHORUS_ENGINE_MODEL_DEVICE_SAMPLER_H_
#define CHORUS_ENGINE_MODEL_DEVICE_SAMPLER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/step_block.h"
#include "engine/model/step_plan.h"
#include "kernels/device/device.h"
#include "kernels/sampling/sample_plan.h"

namespace chorus::engine {

// Rows of logits that are made together, and the samples that are drawn from them.
struct SampleTurn {
  int32_t first_row = 0;  // kept rows
  int32_t num_rows = 0;
  int32_t first_launch = 0;
  int32_t num_launches = 0;
};

class DeviceSampler {
 public:
  static constexpr int32_t kLaunchSamples = 64;

  // What a block must have room for.
  static int32_t MaxLaunches(int32_t max_samples, int32_t max_rows);

  // Samples from rows of `logits` [logit_rows, stride] f32, `logit_rows` at once. InvalidArgument
  // when the device cannot sample such a vocabulary; ResourceExhausted when memory is short.
  static absl::StatusOr<DeviceSampler> Create(kernels::Device* device, const float* logits,
                                              int32_t logit_rows, int32_t stride,
                                              int32_t valid_vocabulary, const StepLimits& limits);

  // Writes the plan's samples to the pinned block. `kept` [samples] is the kept row of each; there
  // are `num_kept` of them. InvalidArgument when a sample's parameters make no sense, or the step
  // is beyond the limits.
  absl::Status Plan(const StepPlan& plan, std::span<const int32_t> kept, int32_t num_kept,
                    const StepBlock& block, std::byte* pinned);
  const std::vector<SampleTurn>& turns() const { return turns_; }
  int32_t num_penalties() const { return static_cast<int32_t>(plan_.penalties.size()); }
  int32_t num_biases() const { return static_cast<int32_t>(plan_.biases.size()); }

  // Draws a turn's samples from its logits; `block` is the device's.
  absl::Status Launch(const SampleTurn& turn, const StepBlock& block, const std::byte* base,
                      kernels::DeviceStream* stream) const;
  // Enqueues the copy of the results.
  absl::Status Fetch(kernels::DeviceStream* stream) const;
  // REQUIRES: the copy is done.
  StepResult Read() const;

  int64_t bytes() const { return memory_.bytes(); }
  int64_t pinned_bytes() const { return pinned_.bytes(); }

 private:
  struct LaunchSamples {
    int32_t first = 0;
    int32_t count = 0;
  };
  // Tokens, their log-probabilities, then the best ones of every sample.
  struct Results {
    int32_t* tokens = nullptr;
    float* logprobs = nullptr;
    kernels::DeviceTokenLogprob* top = nullptr;

    static Results At(std::byte* base, int32_t max_samples);
  };

  // Groups sorted samples into turns and launches.
  void CutTurns(int32_t num_kept);

  StepLimits limits_;
  const float* logits_ = nullptr;
  int32_t logit_rows_ = 0;
  int32_t stride_ = 0;
  int32_t valid_vocabulary_ = 0;
  kernels::DeviceBuffer memory_, pinned_;
  float* scores_ = nullptr;  // [kLaunchSamples, valid_vocabulary_]
  Results results_, fetched_;

  // Of the step at hand.
  std::vector<size_t> order_;             // the plan's samples by kept row
  std::vector<kernels::SampleRow> rows_;  // in that order
  kernels::SamplePlan plan_;
  std::vector<SampleTurn> turns_;
  std::vector<LaunchSamples> launches_;
  bool wants_top_ = false;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_SAMPLER_H_
