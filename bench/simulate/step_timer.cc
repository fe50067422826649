#include "bench/simulate/step_timer.h"

namespace chorus::bench {

StepTimer::StepTimer(const Machine& machine)
    : config_(machine.model), model_(ModelCostOf(machine.model)), times_(machine.step) {}

double StepTimer::Time(const engine::StepPlan& plan) {
  ApplySlotChanges(plan);
  const int64_t rows = plan.num_rows();
  cost_ = {};
  cost_.weight_bytes = model_.weight_bytes + rows * model_.row_bytes;
  int64_t sampled = 0;  // rows: choices may share one
  for (size_t i = 0; i < plan.samples.size(); ++i) {
    sampled += i == 0 || plan.samples[i].row != plan.samples[i - 1].row;
  }
  cost_.linear_flops = static_cast<double>(rows) * model_.row_flops +
                       static_cast<double>(sampled) * model_.sample_flops;
  int64_t tokens = 0;
  double seen = 0.0;
  for (size_t s = 0; s + 1 < plan.sequence_rows_begin.size(); ++s) {
    const int32_t end = plan.sequence_rows_begin[s + 1];
    const int64_t own = end - plan.sequence_rows_begin[s];
    const int64_t last = plan.sequence_rows[static_cast<size_t>(end - 1)];
    const int64_t context = plan.positions[static_cast<size_t>(last)] + 1;
    tokens += context + own;
    seen += static_cast<double>(own) *
            (static_cast<double>(context) - 0.5 * static_cast<double>(own - 1));
  }
  cost_.kv_bytes = tokens * model_.token_bytes;
  cost_.attention_flops = seen * model_.attention_flops;
  int64_t adapter_rows = 0;
  for (const kernels::LoraSegment& segment : plan.segments) {
    const Slot& slot = slots_[static_cast<size_t>(segment.slot)];
    cost_.adapter_bytes += slot.bytes;
    cost_.adapter_flops += segment.num_rows * slot.row_flops;
    adapter_rows += segment.num_rows;
  }
  const StepRates rates = {.bytes_per_us = 1e-6 * times_.bytes_per_s,
                           .flops_per_us = 1e-6 * times_.flops_per_s};
  return 1e-6 * FloorUs(cost_, rates) + times_.step_s + static_cast<double>(rows) * times_.row_s +
         static_cast<double>(adapter_rows) * times_.adapter_row_s;
}

void StepTimer::ApplySlotChanges(const engine::StepPlan& plan) {
  for (const engine::SlotChange& change : plan.slot_changes) {
    const auto at = static_cast<size_t>(change.slot);
    if (at >= slots_.size()) slots_.resize(at + 1);
    slots_[at] = {};
    if (change.contents == nullptr) continue;
    const int32_t rank = change.contents->modules[kernels::kQ].rank;
    const bool attention_only = change.contents->modules[kernels::kGate].rank == 0;
    slots_[at] = {AdapterBytes(config_, rank, attention_only),
                  AdapterFlops(config_, rank, attention_only)};
  }
}

}  // namespace chorus::bench
