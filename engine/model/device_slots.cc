#include "engine/model/device_slots.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/checked.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::LoraModuleEntry;

// What may be written through a table that kernels only read.
template <class T>
std::byte* Writable(const T* at) {
  return reinterpret_cast<std::byte*>(const_cast<T*>(at));
}

absl::Status Beyond(int32_t slot, absl::string_view what, int64_t got, int64_t most) {
  return absl::InvalidArgumentError(
      absl::StrCat("slot ", slot, ": ", what, ": expected at most ", most, ", got ", got));
}

}  // namespace

absl::StatusOr<DeviceSlots> DeviceSlots::Create(kernels::Device* device, int32_t layers,
                                                const DeviceSlotLimits& limits,
                                                kernels::DeviceStream* stream) {
  DeviceSlots slots;
  slots.limits_ = limits;
  slots.table_.max_slots = limits.max_slots;
  slots.table_.layers = layers;
  slots.table_.ids_stride = limits.max_pages;
  slots.ranks_.assign(static_cast<size_t>(limits.max_slots), 0);
  CHORUS_RETURN_IF_ERROR(slots.Allocate(device, stream));
  return slots;
}

absl::Status DeviceSlots::Allocate(kernels::Device* device, kernels::DeviceStream* stream) {
  const int64_t slots = limits_.max_slots;
  const int64_t entries = kernels::RoundUp<int64_t>(slots * entries_bytes(), 256);
  const int64_t ids = kernels::RoundUp<int64_t>(slots * ids_bytes(), 256);
  CHORUS_ASSIGN_OR_RETURN(memory_, device->Allocate(entries + ids + slots * 4));
  table_.entries = memory_.As<LoraModuleEntry>();
  table_.ids = reinterpret_cast<const int32_t*>(memory_.data() + entries);
  table_.num_ids = reinterpret_cast<const int32_t*>(memory_.data() + entries + ids);
  const int64_t stage_bytes = kernels::RoundUp<int64_t>(entries_bytes() + ids_bytes() + 4, 256);
  CHORUS_ASSIGN_OR_RETURN(pinned_, device->AllocatePinned(kStages * stage_bytes));
  for (int i = 0; i < kStages; ++i) {
    Stage& stage = stages_.emplace_back();
    stage.data = pinned_.data() + i * stage_bytes;
    CHORUS_ASSIGN_OR_RETURN(stage.copied, device->NewEvent());
  }
  return stream->Fill(memory_.data(), 0, memory_.bytes());
}

// Cells are taken slab by slab, and those of the first slab are the ids themselves.
int32_t DeviceSlots::NumPages(const kernels::LoraSlot& slot) const {
  const auto end = std::find_if(slot.cells.begin(), slot.cells.end(),
                                [&](int32_t cell) { return cell >= pool_ids_; });
  return static_cast<int32_t>(end - slot.cells.begin());
}

absl::Status DeviceSlots::Check(const SlotChange& change) const {
  if (change.slot < 0 || change.slot >= limits_.max_slots) {
    return Beyond(change.slot, "number", change.slot, limits_.max_slots - 1);
  }
  if (change.contents == nullptr) return absl::OkStatus();
  const kernels::LoraSlot& slot = *change.contents;
  const size_t entries = static_cast<size_t>(table_.layers) * kernels::kNumLoraModules;
  if (slot.modules.size() != entries) {
    return absl::InvalidArgumentError(absl::StrCat("slot ", change.slot, ": expected ", entries,
                                                   " modules, got ", slot.modules.size()));
  }
  if (const int32_t pages = NumPages(slot); pages > limits_.max_pages) {
    return Beyond(change.slot, "pages", pages, limits_.max_pages);
  }
  if (const int32_t rank = RankOf(&slot); rank > limits_.max_rank) {
    return Beyond(change.slot, "rank", rank, limits_.max_rank);
  }
  return absl::OkStatus();
}

int32_t DeviceSlots::RankOf(const kernels::LoraSlot* contents) {
  int32_t rank = 0;
  if (contents == nullptr) return rank;
  for (const LoraModuleEntry& entry : contents->modules) rank = std::max(rank, entry.rank);
  return rank;
}

absl::Status DeviceSlots::Apply(const SlotChange& change, kernels::DeviceStream* stream) {
  Stage& stage = stages_[next_];
  next_ = (next_ + 1) % stages_.size();
  CHORUS_RETURN_IF_ERROR(stage.copied->Wait());
  std::memset(stage.data, 0, static_cast<size_t>(entries_bytes() + ids_bytes() + 4));
  std::byte* const ids = stage.data + entries_bytes();
  std::byte* const num_ids = ids + ids_bytes();
  if (change.contents != nullptr) {
    const kernels::LoraSlot& slot = *change.contents;
    const int32_t pages = NumPages(slot);
    std::memcpy(stage.data, slot.modules.data(), static_cast<size_t>(entries_bytes()));
    std::memcpy(ids, slot.cells.data(), static_cast<size_t>(pages) * 4);
    std::memcpy(num_ids, &pages, 4);
  }
  std::byte* const to = Writable(table_.entries) + change.slot * entries_bytes();
  CHORUS_RETURN_IF_ERROR(stream->CopyToDevice(to, stage.data, entries_bytes()));
  CHORUS_RETURN_IF_ERROR(
      stream->CopyToDevice(Writable(table_.ids) + change.slot * ids_bytes(), ids, ids_bytes()));
  CHORUS_RETURN_IF_ERROR(stream->CopyToDevice(Writable(table_.num_ids + change.slot), num_ids, 4));
  ranks_[static_cast<size_t>(change.slot)] = RankOf(change.contents.get());
  return stream->Record(stage.copied.get());
}

}  // namespace chorus::engine
