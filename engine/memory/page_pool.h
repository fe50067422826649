// PagePool: the one free list of the unified pool. It hands out page ids, counts who shares them
// and takes them back; it knows nothing of what lies in them. Engine thread only.
//
//   free ──Acquire──▶ leased (count ≥ 1) ──last lease gone──▶ draining ──its step has ended──▶ free
//
// An id is cached while the prefix cache holds it; cached ids that nobody else leases are `idle`
// and can be taken back at any time.
#ifndef CHORUS_ENGINE_MEMORY_PAGE_POOL_H_
#define CHORUS_ENGINE_MEMORY_PAGE_POOL_H_

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/device/pool_view.h"

namespace chorus::engine {

using PageId = int32_t;

class PagePool;

// Hears when a cached page begins and ends to be idle.
class IdleObserver {
 public:
  virtual ~IdleObserver() = default;
  virtual void OnIdle(PageId id) = 0;
  virtual void OnBusy(PageId id) = 0;
};

// Counted ids, in the order in which they were added. Move-only; gives its counts back.
class PageLease {
 public:
  PageLease() = default;
  ~PageLease() { Release(); }
  PageLease(PageLease&& other) noexcept;
  PageLease& operator=(PageLease&& other) noexcept;

  std::span<const PageId> ids() const { return ids_; }
  int64_t size() const { return static_cast<int64_t>(ids_.size()); }
  bool empty() const { return ids_.empty(); }
  PageId operator[](int64_t i) const { return ids_[static_cast<size_t>(i)]; }

  // Moves all of `other` to the end. REQUIRES: same pool.
  void Append(PageLease other);
  // Splits off the ids from `first` on.
  PageLease TakeFrom(int64_t first);
  // Puts a one-page lease at `position` and returns what lay there.
  PageLease Replace(int64_t position, PageLease page);
  // Gives all counts back; empty afterwards.
  void Release();

 private:
  friend class PagePool;
  PageLease(PagePool* pool, std::vector<PageId> ids) : pool_(pool), ids_(std::move(ids)) {}

  PagePool* pool_ = nullptr;
  std::vector<PageId> ids_;
};

class PagePool {
 public:
  // `view.base` may be null (tests without memory); otherwise debug builds fill freed pages with
  // NaN.
  explicit PagePool(const kernels::PoolView& view) : PagePool(view, 0, view.num_ids) {}
  // Of ids `first` to first + count - 1 alone.
  PagePool(const kernels::PoolView& view, int64_t first, int64_t count);
  // Every lease must be gone: a leak is a broken invariant.
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  const kernels::PoolView& view() const { return view_; }
  int64_t num_pages() const { return num_pages_; }
  int64_t num_free() const { return static_cast<int64_t>(free_.size()); }
  int64_t num_draining() const { return static_cast<int64_t>(draining_.size()); }
  int64_t num_idle() const { return num_idle_; }

  // `count` ids, ascending, each counted once. ResourceExhausted, and nothing changes, when fewer
  // are free. REQUIRES: count >= 0.
  absl::StatusOr<PageLease> Acquire(int64_t count);
  // Another count on an id that is leased.
  PageLease Share(PageId id);
  int32_t count(PageId id) const { return counts_[static_cast<size_t>(id)]; }

  // Whether several sequences hold it.
  bool shared(PageId id) const { return count(id) - cached_[static_cast<size_t>(id)] > 1; }

  // The prefix cache marks the ids it holds; an id with that count alone is idle.
  void SetCached(PageId id, bool cached);
  bool idle(PageId id) const { return cached_[static_cast<size_t>(id)] != 0 && count(id) == 1; }
  // At most one; null: nobody any more.
  void Observe(IdleObserver* observer) { observer_ = observer; }

  // Ids released from now on may still be read by step `epoch`.
  void BeginStep(uint64_t epoch) { current_epoch_ = epoch; }
  // All steps up to `epoch` have ended: what drained for them is free.
  void EndStep(uint64_t epoch);

 private:
  friend class PageLease;
  struct Draining {
    PageId id;
    uint64_t epoch;
  };

  void Drop(PageId id);
  void Free(PageId id);
  void SetIdle(PageId id, bool idle);

  const kernels::PoolView view_;
  const int64_t num_pages_;
  std::vector<PageId> free_;  // a stack
  std::vector<int32_t> counts_;
  std::vector<uint8_t> cached_;
  int64_t num_idle_ = 0;
  IdleObserver* observer_ = nullptr;
  std::deque<Draining> draining_;  // ascending epochs
  uint64_t current_epoch_ = 0;
  uint64_t ended_epoch_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MEMORY_PAGE_POOL_H_
