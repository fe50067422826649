// DeviceLora: a step's LoRA on a device: the plan of all layers and sites, then at each site a
// shrink and an expand, or both in one launch, which leave a delta for the kernel that reads next.
// Owns the workspaces. Enqueues only; one thread and one stream at a time.
//
//   the step's stream   … x ─┬─ what Run is followed by, the base's product ─┬─ who reads both …
//   beside it, or there      └─ shrink ─ expand ─────────────────────── Join ┘
#ifndef CHORUS_ENGINE_MODEL_DEVICE_LORA_H_
#define CHORUS_ENGINE_MODEL_DEVICE_LORA_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"
#include "engine/model/side_stream.h"
#include "kernels/device/device.h"
#include "kernels/device/pool_view.h"
#include "kernels/lora/lora_plan_kernel.h"
#include "kernels/lora/shrink_kernel.h"

namespace chorus::engine {

enum class DeviceSite : uint8_t { kQkv, kO, kGateUp, kDown };  // as LoraLists counts them

struct DeviceLoraLimits {
  int32_t max_rows = 0;  // padding included
  int32_t max_segments = 0;
  int32_t max_rank = 0;      // of a module
  int64_t max_rank_sum = 0;  // over segments, of their adapters' largest ranks
};

// How LoRA runs on a device, and shares it with the base.
struct DeviceLoraSharing {
  bool beside_base = true;  // on a stream of its own; else before it
  // Beside the base: LoRA launches as many blocks as fill so many, wherever they then run, and the
  // base's product is planned for the others; 0: all, and so is the product.
  int32_t multiprocessors = 0;
  int32_t max_blocks = 0;  // of a launch, where fewer than fill those do as well; 0: no such limit
  bool begin_early = false;  // its kernels may (LaunchBegin); off: no gain in steps
  // Most planes of a shrink in steps of up to 64 rows, 4 to 16: more spread it, fewer add up
  // sooner.
  int32_t max_planes = 16;
  // 4 or 8: shrink and expand of a site in one launch of clusters of so many thread blocks, which
  // takes compute capability 9.0; 0: one after the other.
  int32_t cluster_blocks = 0;
  // In steps of up to so many rows the delta is f32; in longer ones, where it would not stay in a
  // cache, it is rounded to the compute type. Clusters leave f32.
  int32_t wide_delta_rows = 256;
};

class DeviceLora {
 public:
  // `pool` is the pool's geometry. InvalidArgument when a limit or the model is beyond the
  // kernels'; ResourceExhausted when memory is short.
  static absl::StatusOr<DeviceLora> Create(kernels::Device* device, const ModelConfig& config,
                                           const kernels::PoolView& pool,
                                           const kernels::LoraDeviceTable& table,
                                           const DeviceLoraLimits& limits,
                                           const DeviceLoraSharing& sharing);

  // The pool itself, before the first Plan.
  void SetPool(const kernels::PoolView& pool);

  // Once a step of `rows` rows, before its first Run. Pointers are the device's: [max_segments] and
  // [1]; they are read until the next Join. REQUIRES: the step is within the limits.
  absl::Status Plan(const kernels::LoraSegment* segments, const int32_t* num_segments, int32_t rows,
                    kernels::DeviceStream* stream) const;

  // Leaves a site's delta over x [rows, the site's inputs], which `stream` has by now, until the
  // next call. What `stream` does up to the Join neither writes x nor reads the delta.
  absl::Status Run(DeviceSite site, int32_t layer, const void* x, int32_t rows,
                   kernels::DeviceStream* stream) const;
  absl::Status Join(kernels::DeviceStream* stream) const;
  // What Run leaves, for the kernel that reads it in a step of `rows` rows.
  kernels::LoraDelta Delta(DeviceSite site, int32_t layer, int32_t rows) const;

  // Whether the delta of a step of `rows` rows is in the compute type; else it is f32.
  bool HasNarrowDelta(int32_t rows) const { return rows > wide_delta_rows_; }
  // That the base's product may count on; 0: all.
  int32_t multiprocessors_left() const { return multiprocessors_left_; }
  int64_t workspace_bytes() const {
    return lists_memory_.bytes() + planes_memory_.bytes() + delta_memory_.bytes();
  }

 private:
  absl::Status CheckLimits() const;
  absl::Status CheckTurns(const kernels::LoraSiteShape& site) const;
  // Those of the device that its blocks fill.
  absl::Status Share(kernels::Device* device, const DeviceLoraSharing& sharing);
  void ChooseKernels(kernels::DType dtype, int32_t compute_capability);
  absl::Status ChooseClusters(kernels::DType dtype, int32_t cluster_blocks,
                              const kernels::DeviceInfo& info);
  // Whole clusters, of at most blocks_. REQUIRES: Prepare.
  absl::Status FillWithClusters(kernels::Device* device);
  absl::Status Allocate(kernels::Device* device);
  int64_t DeltaBytes() const;
  absl::Status Prepare(kernels::Device* device) const;
  // Partial sums of xA: many where rows are few, so that the machine is filled.
  int32_t MaxPlanes(int32_t rows) const;
  void SizeLists();
  // Where work is enqueued that follows what `stream` holds.
  absl::StatusOr<kernels::DeviceStream*> Follow(kernels::DeviceStream* stream) const;
  kernels::LoraWork Work(DeviceSite site, int32_t layer, bool expand) const;
  absl::Status RunClusters(DeviceSite site, int32_t layer, const void* x, int32_t rows,
                           kernels::DeviceStream* on) const;

  DeviceLoraLimits limits_;
  kernels::LoraDeviceTable table_;
  kernels::PoolCells cells_;
  kernels::LoraSiteShape sites_[kernels::kNumLoraSites];
  kernels::LoraLists lists_;
  uint32_t* row_modules_ = nullptr;  // in lists_memory_
  int32_t planes_stride_ = 0;
  int32_t blocks_ = 0;  // of a launch
  int32_t few_rows_planes_ = 0;
  int32_t wide_delta_rows_ = 0;
  int32_t multiprocessors_left_ = 0;
  kernels::LaunchBegin begin_ = kernels::LaunchBegin::kInOrder;
  const kernels::Kernel* shrink_ = nullptr;
  int32_t shrink_shared_ = 0;                 // bytes
  int32_t expand_shared_ = 0;                 // likewise
  const kernels::Kernel* expand_[2] = {};     // by HasNarrowDelta
  const kernels::Kernel* cluster_ = nullptr;  // if set, in place of both
  kernels::DeviceBuffer lists_memory_, planes_memory_, delta_memory_;
  std::unique_ptr<SideStream> side_;  // null: on the step's stream
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_LORA_H_
