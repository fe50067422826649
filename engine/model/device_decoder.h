// DeviceDecoder: a model's layers on a device, from a step's block to the residual rows that are
// sampled, and from those to logits. Owns the workspaces; weights, pool, slot table and libraries
// are borrowed. Only enqueues, always the same launches for the same shape, so a step can be
// captured. One thread and one stream at a time.
//
//   embed → L × [add + norm, qkv, bias + RoPE + KV append, attention, o, add + norm, gate/up,
//                bias + SiLU·mul, down]
//
// What a linear or its LoRA leaves is added by the kernel that reads next. The residual stream and
// what linears give are f32; what they take is in the compute type.
#ifndef CHORUS_ENGINE_MODEL_DEVICE_DECODER_H_
#define CHORUS_ENGINE_MODEL_DEVICE_DECODER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/attention_plans.h"
#include "engine/model/device_linears.h"
#include "engine/model/device_lora.h"
#include "engine/model/device_weights.h"
#include "engine/model/layer_arrivals.h"
#include "engine/model/model_config.h"
#include "engine/model/step_block.h"
#include "kernels/device/device.h"
#include "kernels/device/pool_view.h"
#include "kernels/library/library_ops.h"

namespace chorus::engine {

// What the decoder works with; all outlive it.
struct DeviceModel {
  kernels::Device* device = nullptr;
  kernels::LibraryOps* ops = nullptr;
  const ModelConfig* config = nullptr;
  const DeviceWeights* weights = nullptr;
  const AttentionPlans* attention = nullptr;
  const StepBlock* block = nullptr;
  kernels::PoolView pool;  // its geometry; SetPool brings the rest
  kernels::LoraDeviceTable slots;
  DeviceLoraLimits limits;
  DeviceLoraSharing lora;
  bool attention_early = false;
};

// A step whose block lies on the device.
struct DeviceStep {
  StepShape shape;
  const std::byte* block = nullptr;
  int32_t num_decodes = 0;  // rows before those of prompts
  // Adapters of which a layer may only be read after its event; null: none.
  const std::vector<std::shared_ptr<const LayerArrivals>>* arrivals = nullptr;
};

class DeviceDecoder {
 public:
  static constexpr int32_t kMaxLogitRows = 64;  // computed at once

  // ResourceExhausted when memory is short. Blocks.
  static absl::StatusOr<std::unique_ptr<DeviceDecoder>> Create(const DeviceModel& model,
                                                               kernels::DeviceStream* stream);

  // The device's pool, before the first Run: its address goes into what is captured.
  void SetPool(const kernels::PoolView& pool);

  // K and V of all rows into their pages, and the residual up to what the last layer adds.
  absl::Status Run(const DeviceStep& step, kernels::DeviceStream* stream);

  // Logits of kept rows [first, first + count) of the last step that ran, into logits(). Each kept
  // row once. REQUIRES: count <= kMaxLogitRows, and the block's kept rows are -1 up to the next
  // bucket.
  absl::Status Logits(const DeviceStep& step, int32_t first, int32_t count,
                      kernels::DeviceStream* stream);
  // [kMaxLogitRows, logits_stride()] of the device, until the next Logits.
  float* logits() const { return logits_; }
  int32_t logits_stride() const { return logits_stride_; }

  int64_t activation_bytes() const { return memory_.bytes(); }
  int64_t lora_bytes() const { return lora_.workspace_bytes(); }

 private:
  struct Kernels {
    const kernels::Kernel* embedding;
    // By the type of the delta: f32, the compute type.
    const kernels::Kernel* add_norm[2];
    const kernels::Kernel* rope_append_kv[2];
    const kernels::Kernel* silu_mul[2];
  };

  explicit DeviceDecoder(const DeviceModel& model);

  absl::Status Allocate();
  absl::Status UploadFrequencies(kernels::DeviceStream* stream);
  absl::Status Prepare() const;

  // Until what `layer` reads of adapters on their way is there.
  static absl::Status AwaitLayer(const DeviceStep& step, int32_t layer,
                                 kernels::DeviceStream* stream);
  absl::Status Embed(const DeviceStep& step, kernels::DeviceStream* stream);
  // Adds what the layer before left, and leaves q rotated in q_.
  absl::Status AppendKv(const DeviceStep& step, int32_t layer, kernels::DeviceStream* stream);
  // Attention over the pages: q_ to narrow_.
  absl::Status Attend(const DeviceStep& step, int32_t layer, kernels::DeviceStream* stream);
  absl::Status ProjectOut(const DeviceStep& step, int32_t layer, kernels::DeviceStream* stream);
  absl::Status Mlp(const DeviceStep& step, int32_t layer, kernels::DeviceStream* stream);

  // narrow_ through a linear and its LoRA: wide_, and a delta.
  absl::Status Linear(const DeviceStep& step, WeightRole role, DeviceSite site, int32_t layer,
                      kernels::DeviceStream* stream);
  kernels::LoraDelta Delta(const DeviceStep& step, DeviceSite site, int32_t layer) const;
  // Which of two kernels reads the step's delta, if it has one.
  size_t DeltaType(const DeviceStep& step) const {
    return lora_.HasNarrowDelta(step.shape.rows) ? 1 : 0;
  }
  template <class T>
  const T* Array(const DeviceStep& step, int64_t at) const {
    return StepBlock::Array<T>(step.block, at);
  }

  DeviceModel model_;
  const ModelConfig& config_;
  const DeviceWeights& weights_;
  const Kernels kernels_;
  DeviceLinears linears_;
  float rope_scaling_ = 1.0f;
  int32_t logits_stride_ = 0;

  // Workspaces. A linear reads narrow_ and writes wide_. Rows: max_rows, and where attention writes
  // more for its padding.
  kernels::DeviceBuffer memory_;
  float* residual_ = nullptr;     // [rows, hidden]
  std::byte* narrow_ = nullptr;   // [rows, the widest input] compute type
  std::byte* q_ = nullptr;        // [rows, heads · head_dim] compute type
  float* wide_ = nullptr;         // [rows, the widest output]
  float* cos_sin_ = nullptr;      // [rows, head_dim]
  float* inv_freq_ = nullptr;     // [head_dim / 2]
  std::byte* final_x_ = nullptr;  // [kMaxLogitRows, hidden] compute type
  float* logits_ = nullptr;       // [kMaxLogitRows, logits_stride_]

  DeviceLora lora_;  // waits, when it goes, for what reads the workspaces
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_DECODER_H_
