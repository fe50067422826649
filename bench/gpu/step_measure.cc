#include "bench/gpu/step_measure.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "bench/gpu/hash_bf16.h"
#include "engine/model/layer_arrivals.h"
#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/lora/tiles.h"
#include "kernels/status_macros.h"

namespace chorus::bench {
namespace {

absl::Status MeasureBlock(StepRig* rig, PreparedStep* step, int replays, SideTimes* side) {
  CHORUS_RETURN_IF_ERROR(rig->Enter(step));
  std::vector<double> device_us;
  const kernels::DeviceCounters before = rig->device().counters();
  for (int i = 0; i < replays; ++i) {
    CHORUS_ASSIGN_OR_RETURN(const StepTime time, rig->Run(step));
    side->steps.push_back(time);
    device_us.push_back(time.device_us);
  }
  const kernels::DeviceCounters after = rig->device().counters();
  side->launches = (after.launches - before.launches) / replays;
  side->graph_replays = (after.graph_replays - before.graph_replays) / replays;
  side->block_us.push_back(Median(device_us));
  return absl::OkStatus();
}

// The case of a cold adapter: one prompt.
StepCase ColdCase(const StepSizes& sizes) {
  StepCase c;
  c.name = "cold adapter";
  c.sequences = {{sizes.cold_tokens, sizes.cold_tokens, 0}};
  c.ranks = {sizes.rank};
  return c;
}

// An adapter's pages in pinned memory, and the copies that bring them to where they belong.
class ColdImage {
 public:
  static absl::StatusOr<ColdImage> Create(StepRig* rig, const kernels::LoraSlot& slot) {
    ColdImage image;
    image.slot_ = slot;
    image.pool_ = rig->pool();
    CHORUS_ASSIGN_OR_RETURN(image.pinned_, rig->device().AllocatePinned(image.bytes()));
    for (int64_t i = 0; i < image.bytes() / 2; ++i) {
      image.pinned_.As<uint16_t>()[i] = HashBf16(static_cast<uint64_t>(i));
    }
    CHORUS_ASSIGN_OR_RETURN(image.stream_,
                            rig->device().NewStream(kernels::Device::Priority::kNormal));
    CHORUS_ASSIGN_OR_RETURN(image.timer_, rig->device().NewTimer());
    engine::LayerArrivals::Events layers;
    for (int32_t layer = 0; layer < image.pool_.num_slabs; ++layer) {
      CHORUS_ASSIGN_OR_RETURN(layers.emplace_back(), rig->device().NewEvent());
    }
    image.arrivals_ = std::make_shared<engine::LayerArrivals>(std::move(layers));
    return image;
  }

  int64_t bytes() const { return static_cast<int64_t>(slot_.cells.size()) * pool_.cell_bytes(); }
  std::shared_ptr<const engine::LayerArrivals> arrivals() const { return arrivals_; }

  // Enqueues the copies, and after those of each layer its event.
  absl::Status Enqueue() {
    size_t next = 0;
    std::vector<kernels::DeviceCopy> copies;
    for (int32_t layer = 0; layer < pool_.num_slabs; ++layer) {
      copies.clear();
      for (const size_t end = CellsUpTo(layer); next < end; ++next) {
        copies.push_back({pool_.CellAddress(slot_.cells[next]),
                          pinned_.data() + static_cast<int64_t>(next) * pool_.cell_bytes(),
                          pool_.cell_bytes()});
      }
      CHORUS_RETURN_IF_ERROR(stream_->CopyManyToDevice(copies));
      CHORUS_RETURN_IF_ERROR(
          stream_->Record(arrivals_->layers()[static_cast<size_t>(layer)].get()));
    }
    return absl::OkStatus();
  }

  // Copies and waits; returns the device's time.
  absl::StatusOr<double> Copy() {
    CHORUS_RETURN_IF_ERROR(timer_->Start(stream_.get()));
    CHORUS_RETURN_IF_ERROR(Enqueue());
    CHORUS_RETURN_IF_ERROR(timer_->Stop(stream_.get()));
    CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
    return timer_->ElapsedUs();
  }

 private:
  // Those that hold what lies before the next layer.
  size_t CellsUpTo(int32_t layer) const {
    if (layer + 1 == pool_.num_slabs) return slot_.cells.size();
    const int64_t tiles = slot_.entry(layer + 1, kernels::kQ).a_tile;
    return static_cast<size_t>(kernels::CeilDiv(tiles, kernels::TilesPerCell(pool_)));
  }

  kernels::LoraSlot slot_;
  kernels::PoolView pool_;
  kernels::DeviceBuffer pinned_;
  std::unique_ptr<kernels::DeviceStream> stream_;
  std::unique_ptr<kernels::DeviceTimer> timer_;
  std::shared_ptr<engine::LayerArrivals> arrivals_;  // shared with the steps that wait for it
};

}  // namespace

std::vector<double> SideTimes::device_us() const {
  std::vector<double> us;
  for (const StepTime& time : steps) us.push_back(time.device_us);
  return us;
}

std::vector<double> SideTimes::host_gap_us() const {
  std::vector<double> us;
  for (const StepTime& time : steps) us.push_back(time.wall_us - time.device_us);
  return us;
}

absl::StatusOr<CaseTimes> MeasureCase(StepRig* rig, const StepCase& c,
                                      const MeasureOptions& options) {
  CHORUS_ASSIGN_OR_RETURN(PreparedStep adapters, rig->Prepare(c));
  CHORUS_ASSIGN_OR_RETURN(PreparedStep base, rig->Prepare(WithoutAdapters(c)));
  CaseTimes times;
  for (int pair = 0; pair < options.blocks; ++pair) {
    for (const bool first : {true, false}) {
      const bool is_base = first == (pair % 2 == 0);
      CHORUS_RETURN_IF_ERROR(MeasureBlock(rig, is_base ? &base : &adapters, options.replays,
                                          is_base ? &times.base : &times.adapters));
    }
  }
  return times;
}

absl::StatusOr<ColdTimes> MeasureCold(StepRig* rig, int repeats) {
  CHORUS_ASSIGN_OR_RETURN(PreparedStep step, rig->Prepare(ColdCase(rig->model().sizes)));
  CHORUS_ASSIGN_OR_RETURN(ColdImage image, ColdImage::Create(rig, *step.slots[0]));
  ColdTimes times;
  times.copies = static_cast<int64_t>(step.slots[0]->cells.size());
  times.bytes = image.bytes();
  CHORUS_RETURN_IF_ERROR(rig->Enter(&step));  // empties the slots of the case before
  for (int i = 0; i < repeats; ++i) {
    double begin = rig->NowUs();
    CHORUS_RETURN_IF_ERROR(rig->Enter(&step));
    times.warm_us.push_back(rig->NowUs() - begin);
    begin = rig->NowUs();
    CHORUS_ASSIGN_OR_RETURN(const double copy_us, image.Copy());
    times.copy_us.push_back(copy_us);
    times.copy_wall_us.push_back(rig->NowUs() - begin);
    CHORUS_RETURN_IF_ERROR(rig->Enter(&step));
    times.cold_us.push_back(rig->NowUs() - begin);
    begin = rig->NowUs();
    CHORUS_RETURN_IF_ERROR(image.Enqueue());
    step.plan.arrivals = {image.arrivals()};
    CHORUS_RETURN_IF_ERROR(rig->Enter(&step));
    times.by_layer_us.push_back(rig->NowUs() - begin);
    step.plan.arrivals.clear();
  }
  return times;
}

double Quantile(std::vector<double> values, double share) {
  CHORUS_CHECK(!values.empty());
  const double at = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  std::sort(values.begin(), values.end());
  const double above = values[std::min(below + 1, values.size() - 1)];
  return values[below] + (at - static_cast<double>(below)) * (above - values[below]);
}

}  // namespace chorus::bench
