#include "bench/gpu/step_measure.h"

#include <algorithm>
#include <utility>

#include "bench/gpu/hash_bf16.h"
#include "kernels/check.h"
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
    image.cells_ = slot.cells;
    image.pool_ = rig->pool();
    CHORUS_ASSIGN_OR_RETURN(image.pinned_, rig->device().AllocatePinned(image.bytes()));
    for (int64_t i = 0; i < image.bytes() / 2; ++i) {
      image.pinned_.As<uint16_t>()[i] = HashBf16(static_cast<uint64_t>(i));
    }
    CHORUS_ASSIGN_OR_RETURN(image.stream_,
                            rig->device().NewStream(kernels::Device::Priority::kNormal));
    CHORUS_ASSIGN_OR_RETURN(image.timer_, rig->device().NewTimer());
    return image;
  }

  int64_t bytes() const { return static_cast<int64_t>(cells_.size()) * pool_.cell_bytes(); }

  // Copies and waits; returns the device's time.
  absl::StatusOr<double> Copy() {
    const int64_t cell_bytes = pool_.cell_bytes();
    CHORUS_RETURN_IF_ERROR(timer_->Start(stream_.get()));
    for (size_t i = 0; i < cells_.size(); ++i) {
      CHORUS_RETURN_IF_ERROR(
          stream_->CopyToDevice(pool_.CellAddress(cells_[i]),
                                pinned_.data() + static_cast<int64_t>(i) * cell_bytes, cell_bytes));
    }
    CHORUS_RETURN_IF_ERROR(timer_->Stop(stream_.get()));
    CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
    return timer_->ElapsedUs();
  }

 private:
  std::vector<int32_t> cells_;
  kernels::PoolView pool_;
  kernels::DeviceBuffer pinned_;
  std::unique_ptr<kernels::DeviceStream> stream_;
  std::unique_ptr<kernels::DeviceTimer> timer_;
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
