// DeviceSlots: the slot table on a device. It changes only by copies on the stream of the steps, so
// a step that runs sees it as it was when the step was enqueued. One thread at a time.
#ifndef CHORUS_ENGINE_MODEL_DEVICE_SLOTS_H_
#define CHORUS_ENGINE_MODEL_DEVICE_SLOTS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/step_plan.h"
#include "kernels/device/device.h"
#include "kernels/device/pool_view.h"
#include "kernels/lora/device_lora.h"

namespace chorus::engine {

struct DeviceSlotLimits {
  int32_t max_slots = 0;
  int32_t max_pages = 0;  // of an adapter
  int32_t max_rank = 0;   // of a module
};

class DeviceSlots {
 public:
  // All slots are empty once `stream` has done what this enqueues.
  static absl::StatusOr<DeviceSlots> Create(kernels::Device* device, int32_t layers,
                                            const DeviceSlotLimits& limits,
                                            kernels::DeviceStream* stream);
  // The pool that adapters lie in, before the first change.
  void SetPool(const kernels::PoolView& pool) { pool_ids_ = pool.num_ids; }

  // InvalidArgument when the slot or what it is to hold is beyond the limits.
  absl::Status Check(const SlotChange& change) const;
  // Largest rank of a module of what the slot holds after the changes that were applied.
  int32_t rank(int32_t slot) const { return ranks_[static_cast<size_t>(slot)]; }
  // The same of what a slot may hold.
  static int32_t RankOf(const kernels::LoraSlot* contents);
  // Enqueues the change; blocks while many earlier ones are under way. REQUIRES: Check.
  absl::Status Apply(const SlotChange& change, kernels::DeviceStream* stream);

  const kernels::LoraDeviceTable& table() const { return table_; }
  int64_t bytes() const { return memory_.bytes(); }
  int64_t pinned_bytes() const { return pinned_.bytes(); }

 private:
  // A slot as it is copied: entries, then page ids, then their number.
  struct Stage {
    std::byte* data = nullptr;
    std::unique_ptr<kernels::DeviceEvent> copied;
  };
  static constexpr int kStages = 8;

  int64_t entries_bytes() const {
    return int64_t{table_.layers} * kernels::kNumLoraModules *
           static_cast<int64_t>(sizeof(kernels::LoraModuleEntry));
  }
  int64_t ids_bytes() const { return int64_t{table_.ids_stride} * 4; }
  int32_t NumPages(const kernels::LoraSlot& slot) const;
  absl::Status Allocate(kernels::Device* device, kernels::DeviceStream* stream);

  DeviceSlotLimits limits_;
  int64_t pool_ids_ = 0;
  kernels::LoraDeviceTable table_;
  kernels::DeviceBuffer memory_, pinned_;
  std::vector<Stage> stages_;
  std::vector<int32_t> ranks_;  // [max_slots]
  size_t next_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_DEVICE_SLOTS_H_
