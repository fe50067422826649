#include "engine/memory/page_pool.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"

namespace chorus::engine {

PageLease::PageLease(PageLease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), ids_(std::exchange(other.ids_, {})) {}

PageLease& PageLease::operator=(PageLease&& other) noexcept {
  if (this != &other) {
    Release();
    pool_ = std::exchange(other.pool_, nullptr);
    ids_ = std::exchange(other.ids_, {});
  }
  return *this;
}

void PageLease::Append(PageLease other) {
  if (other.empty()) return;
  CHORUS_CHECK(pool_ == nullptr || pool_ == other.pool_);
  pool_ = other.pool_;
  ids_.insert(ids_.end(), other.ids_.begin(), other.ids_.end());
  other.ids_.clear();
}

PageLease PageLease::TakeFrom(int64_t first) {
  CHORUS_CHECK(first >= 0 && first <= size());
  std::vector<PageId> taken(ids_.begin() + first, ids_.end());
  ids_.resize(static_cast<size_t>(first));
  return PageLease(pool_, std::move(taken));
}

PageLease PageLease::Replace(int64_t position, PageLease page) {
  CHORUS_CHECK(position < size() && page.size() == 1 && page.pool_ == pool_);
  std::swap(ids_[static_cast<size_t>(position)], page.ids_[0]);
  return page;
}

void PageLease::Release() {
  // Last first, so that the stack of free ids hands a lease out again in its old order.
  for (size_t i = ids_.size(); i-- > 0;) pool_->Drop(ids_[i]);
  ids_.clear();
}

PagePool::PagePool(const kernels::PoolView& view, int64_t first, int64_t count)
    : view_(view),
      num_pages_(count),
      counts_(static_cast<size_t>(view.num_ids), 0),
      cached_(static_cast<size_t>(view.num_ids), 0) {
  free_.reserve(static_cast<size_t>(num_pages_));
  for (int64_t i = count; i-- > 0;) free_.push_back(static_cast<PageId>(first + i));
}

PagePool::~PagePool() { CHORUS_CHECK_EQ(num_free() + num_draining(), num_pages_); }

absl::StatusOr<PageLease> PagePool::Acquire(int64_t count) {
  CHORUS_CHECK_GE(count, 0);
  if (count > num_free()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("pool: ", count, " pages wanted, ", num_free(), " of ", num_pages_, " free"));
  }
  std::vector<PageId> ids(free_.end() - count, free_.end());
  free_.resize(free_.size() - static_cast<size_t>(count));
  std::sort(ids.begin(), ids.end());
  for (PageId id : ids) counts_[static_cast<size_t>(id)] = 1;
  return PageLease(this, std::move(ids));
}

PageLease PagePool::Share(PageId id) {
  int32_t& count = counts_[static_cast<size_t>(id)];
  CHORUS_CHECK_GT(count, 0);
  if (count++ == 1 && cached_[static_cast<size_t>(id)]) SetIdle(id, false);
  return PageLease(this, {id});
}

void PagePool::SetCached(PageId id, bool cached) {
  uint8_t& flag = cached_[static_cast<size_t>(id)];
  CHORUS_CHECK_NE(flag != 0, cached);
  flag = cached ? 1 : 0;
  if (counts_[static_cast<size_t>(id)] == 1) SetIdle(id, cached);
}

void PagePool::SetIdle(PageId id, bool idle) {
  num_idle_ += idle ? 1 : -1;
  if (observer_ == nullptr) return;
  if (idle) {
    observer_->OnIdle(id);
  } else {
    observer_->OnBusy(id);
  }
}

void PagePool::Drop(PageId id) {
  int32_t& count = counts_[static_cast<size_t>(id)];
  CHORUS_CHECK_GT(count, 0);
  --count;
  const bool cached = cached_[static_cast<size_t>(id)] != 0;
  if (count == 1 && cached) SetIdle(id, true);
  if (count > 0) return;
  CHORUS_CHECK(!cached);
  if (current_epoch_ > ended_epoch_) {
    draining_.push_back({id, current_epoch_});
  } else {
    Free(id);
  }
}

void PagePool::EndStep(uint64_t epoch) {
  ended_epoch_ = std::max(ended_epoch_, epoch);
  while (!draining_.empty() && draining_.front().epoch <= epoch) {
    Free(draining_.front().id);
    draining_.pop_front();
  }
}

void PagePool::Free(PageId id) {
#ifdef CHORUS_DCHECKS_ON
  if (view_.base != nullptr) {
    for (int32_t slab = 0; slab < view_.num_slabs; ++slab) {  // all ones is a NaN in every type
      std::memset(view_.CellAddress(view_.CellOf(slab, id)), 0xff,
                  static_cast<size_t>(view_.cell_bytes()));
    }
  }
#endif
  free_.push_back(id);
}

}  // namespace chorus::engine
