// A plan and loads turned around: page i of the scheduler is page num_ids - 1 - i of the pool, so
// that little work in a pool as large as the device lies at its far end.
#ifndef CHORUS_TESTS_SUPPORT_LAST_PAGES_H_
#define CHORUS_TESTS_SUPPORT_LAST_PAGES_H_

#include <memory>
#include <vector>

#include "engine/adapters/adapter_target.h"
#include "engine/model/step_plan.h"

namespace chorus::test {

inline int32_t LastPage(int64_t num_ids, int32_t id) {
  return id < 0 ? id : static_cast<int32_t>(num_ids - 1 - id);
}
// Cells of a slab follow each other.
inline int32_t LastCell(int64_t num_ids, int32_t cell) {
  const int64_t id = cell % num_ids;
  return static_cast<int32_t>(cell - id + num_ids - 1 - id);
}

inline void TakeLastPages(const kernels::PoolView& pool, engine::StepPlan* plan) {
  for (int32_t& id : plan->row_pages) id = LastPage(pool.num_ids, id);
  for (int32_t& id : plan->page_ids) id = LastPage(pool.num_ids, id);
  for (kernels::PageCopy& copy : plan->page_copies) {
    copy = {LastPage(pool.num_ids, copy.from), LastPage(pool.num_ids, copy.to)};
  }
  for (engine::SlotChange& change : plan->slot_changes) {
    if (change.contents == nullptr) continue;
    auto contents = std::make_shared<kernels::LoraSlot>(*change.contents);
    for (int32_t& cell : contents->cells) cell = LastCell(pool.num_ids, cell);
    change.contents = std::move(contents);
  }
}

class LastPagesTarget : public engine::AdapterTarget {
 public:
  // `num_ids` 0: loads go where they are meant to.
  LastPagesTarget(engine::AdapterTarget* target, int64_t num_ids)
      : target_(*target), num_ids_(num_ids) {}

  absl::Status Load(const engine::AdapterVersion& adapter, std::span<const int32_t> cells,
                    engine::LoadObserver* observer) override {
    std::vector<int32_t> turned(cells.begin(), cells.end());
    for (int32_t& cell : turned) cell = num_ids_ == 0 ? cell : LastCell(num_ids_, cell);
    return target_.Load(adapter, turned, observer);
  }
  void Forget(const std::string& tenant, const engine::AdapterDigest& digest) override {
    target_.Forget(tenant, digest);
  }

 private:
  engine::AdapterTarget& target_;
  const int64_t num_ids_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_LAST_PAGES_H_
