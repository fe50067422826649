#include "bench/gpu/step_lora.h"

#include <algorithm>

#include "bench/gpu/step_cost.h"
#include "bench/gpu/step_measure.h"
#include "kernels/linear/row_buckets.h"
#include "kernels/status_macros.h"

namespace chorus::bench {

using engine::DeviceSite;
using kernels::LoraSegment;

absl::StatusOr<LoraProbe> LoraProbe::Create(StepRig* rig) {
  LoraProbe probe(rig);
  const engine::ModelConfig& config = rig->model().config;
  const engine::DeviceRunnerOptions runner = rig->RunnerOptions();
  CHORUS_ASSIGN_OR_RETURN(probe.stream_,
                          rig->device().NewStream(kernels::Device::Priority::kNormal));
  CHORUS_ASSIGN_OR_RETURN(probe.timer_, rig->device().NewTimer());
  CHORUS_ASSIGN_OR_RETURN(probe.slots_,
                          engine::DeviceSlots::Create(&rig->device(), config.layers,
                                                      {.max_slots = runner.max_slots,
                                                       .max_pages = runner.max_adapter_pages,
                                                       .max_rank = runner.max_lora_rank},
                                                      probe.stream_.get()));
  probe.slots_.SetPool(rig->pool());
  engine::DeviceLoraSharing sharing = rig->options().lora;
  sharing.beside_base = false;  // there is no base
  sharing.multiprocessors = 0;
  CHORUS_ASSIGN_OR_RETURN(
      probe.lora_,
      engine::DeviceLora::Create(&rig->device(), config, rig->pool(), probe.slots_.table(),
                                 {.max_rows = kernels::PrefillRowBucket(runner.max_rows),
                                  .max_segments = runner.max_segments,
                                  .max_rank = runner.max_lora_rank,
                                  .max_rank_sum = runner.max_rank_sum},
                                 sharing));
  probe.lora_.SetPool(rig->pool());
  probe.max_segments_ = runner.max_segments;
  const int64_t bytes =
      int64_t{runner.max_segments} * static_cast<int64_t>(sizeof(LoraSegment)) + 8;
  CHORUS_ASSIGN_OR_RETURN(probe.segments_, rig->device().Allocate(bytes));
  CHORUS_ASSIGN_OR_RETURN(probe.pinned_, rig->device().AllocatePinned(bytes));
  CHORUS_RETURN_IF_ERROR(probe.stream_->Synchronize());
  return probe;
}

absl::Status LoraProbe::Load(const PreparedStep& step) {
  for (size_t slot = 0; slot < step.slots.size(); ++slot) {
    const engine::SlotChange change{static_cast<int32_t>(slot), step.slots[slot]};
    CHORUS_RETURN_IF_ERROR(slots_.Check(change));
    CHORUS_RETURN_IF_ERROR(slots_.Apply(change, stream_.get()));
  }
  std::copy(step.plan.segments.begin(), step.plan.segments.end(), pinned_.As<LoraSegment>());
  *reinterpret_cast<int32_t*>(pinned_.As<LoraSegment>() + max_segments_) =
      static_cast<int32_t>(step.plan.segments.size());
  CHORUS_RETURN_IF_ERROR(
      stream_->CopyToDevice(segments_.data(), pinned_.data(), segments_.bytes() - 4));
  return stream_->Synchronize();
}

absl::Status LoraProbe::EnqueuePlan(int32_t rows) {
  const auto* const segments = segments_.As<LoraSegment>();
  return lora_.Plan(segments, reinterpret_cast<const int32_t*>(segments + max_segments_), rows,
                    stream_.get());
}

// Pages serve as x.
absl::Status LoraProbe::EnqueueSite(DeviceSite site, int32_t layer, int32_t rows) {
  CHORUS_RETURN_IF_ERROR(lora_.Run(site, layer, rig_->pool().base, rows, stream_.get()));
  return lora_.Join(stream_.get());
}

template <class Enqueue>
absl::StatusOr<double> LoraProbe::TimeGraph(int replays, const Enqueue& enqueue) {
  CHORUS_RETURN_IF_ERROR(enqueue());  // what runs first may have to be loaded
  CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
  CHORUS_RETURN_IF_ERROR(stream_->BeginCapture());
  const absl::Status captured = enqueue();
  CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<kernels::DeviceGraph> graph, stream_->EndCapture());
  CHORUS_RETURN_IF_ERROR(captured);
  std::vector<double> us;
  for (int i = 0; i < replays; ++i) {
    CHORUS_RETURN_IF_ERROR(timer_->Start(stream_.get()));
    CHORUS_RETURN_IF_ERROR(stream_->Replay(graph.get()));
    CHORUS_RETURN_IF_ERROR(timer_->Stop(stream_.get()));
    CHORUS_ASSIGN_OR_RETURN(us.emplace_back(), timer_->ElapsedUs());
  }
  return Median(us);
}

absl::StatusOr<LoraTimes> LoraProbe::Measure(const StepCase& c, int replays) {
  CHORUS_ASSIGN_OR_RETURN(const PreparedStep step, rig_->Prepare(c));
  CHORUS_RETURN_IF_ERROR(Load(step));
  const int32_t rows =
      c.decodes() ? kernels::DecodeRowBucket(c.rows()) : kernels::PrefillRowBucket(c.rows());
  const int32_t layers = rig_->model().config.layers;
  LoraTimes times;
  for (const DeviceSite site :
       {DeviceSite::kQkv, DeviceSite::kO, DeviceSite::kGateUp, DeviceSite::kDown}) {
    const int64_t bytes = SiteBytes(rig_->model().config, c, site);
    if (bytes == 0) continue;
    times.bytes += bytes;
    times.sites.push_back({.site = site, .bytes = bytes});
  }
  const auto layer_sites = [&](int32_t layer) -> absl::Status {
    for (const LoraSiteTime& site : times.sites) {
      CHORUS_RETURN_IF_ERROR(EnqueueSite(site.site, layer, rows));
    }
    return absl::OkStatus();
  };
  CHORUS_ASSIGN_OR_RETURN(times.plan_us, TimeGraph(replays, [&] { return EnqueuePlan(rows); }));
  CHORUS_ASSIGN_OR_RETURN(
      times.us, TimeGraph(replays, [&]() -> absl::Status {
        CHORUS_RETURN_IF_ERROR(EnqueuePlan(rows));
        // In a step something lies between, too: who reads the lists may not begin before they end.
        CHORUS_RETURN_IF_ERROR(stream_->Fill(segments_.data() + segments_.bytes() - 4, 0, 4));
        for (int32_t layer = 0; layer < layers; ++layer) {
          CHORUS_RETURN_IF_ERROR(layer_sites(layer));
        }
        return absl::OkStatus();
      }));
  for (LoraSiteTime& site : times.sites) {
    CHORUS_ASSIGN_OR_RETURN(site.us, TimeGraph(replays, [&]() -> absl::Status {
                              for (int32_t layer = 0; layer < layers; ++layer) {
                                CHORUS_RETURN_IF_ERROR(EnqueueSite(site.site, layer, rows));
                              }
                              return absl::OkStatus();
                            }));
  }
  return times;
}

}  // namespace chorus::bench
