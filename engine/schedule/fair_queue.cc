#include "engine/schedule/fair_queue.h"

#include <algorithm>

#include "kernels/check.h"

namespace chorus::engine {

Tenant* FairQueue::Open(const std::string& name) {
  std::unique_ptr<Tenant>& account = accounts_[name];
  if (account == nullptr) {
    account = std::make_unique<Tenant>();
    account->name = name;
    account->turn = ++turns_;
    const auto weight = weights_.find(name);
    if (weight != weights_.end()) account->weight = weight->second;
  }
  if (account->requests++ == 0) closed_.erase(account.get());
  return account.get();
}

void FairQueue::Close(Tenant* tenant) {
  CHORUS_CHECK_GT(tenant->requests, 0);
  if (--tenant->requests > 0) return;
  if (tenant == last_awake_) {
    least_ = std::max(least_, tenant->counter);
    last_awake_ = nullptr;
  }
  closed_.insert(tenant);
  DropOld();
}

void FairQueue::Add(Sequence* sequence) {
  Tenant* const tenant = sequence->request->tenant;
  ++size_;
  if (tenant->waiting.empty()) {
    tenant->asleep = false;
    tenant->turn = ++turns_;
    Lift(tenant);
    SetOf(*tenant).insert(tenant);
    DropOld();
  }
  CHORUS_CHECK(tenant->waiting.insert(sequence).second);
}

void FairQueue::Remove(Sequence* sequence) {
  Tenant* const tenant = sequence->request->tenant;
  CHORUS_CHECK_EQ(tenant->waiting.erase(sequence), 1u);
  --size_;
  if (tenant->waiting.empty()) Leave(tenant);
}

void FairQueue::Charge(Tenant* tenant, double service) {
  const double counter = tenant->counter + service / tenant->weight;
  if (tenant->waiting.empty()) {
    tenant->counter = counter;
    return;
  }
  auto node = SetOf(*tenant).extract(tenant);
  tenant->counter = counter;
  SetOf(*tenant).insert(std::move(node));
}

double FairQueue::ExpectedCharge(const Sequence& sequence) {
  if (sequence.charged) return 0.0;
  return static_cast<double>(sequence.prompt_tokens() - sequence.cached_hint);
}

double FairQueue::Least() const {
  if (!waiting_[0].empty()) return (*waiting_[0].begin())->counter;
  return last_awake_ == nullptr ? least_ : std::max(least_, last_awake_->counter);
}

// REQUIRES: it is in none of the sets.
void FairQueue::Lift(Tenant* tenant) {
  least_ = Least();
  tenant->counter = std::max(tenant->counter, least_);
}

void FairQueue::SetAsleep(Tenant* tenant, bool asleep) {
  if (tenant->asleep == asleep) return;
  auto node = SetOf(*tenant).extract(tenant);
  tenant->asleep = asleep;
  if (asleep) {
    last_awake_ = tenant;
  } else {
    Lift(tenant);
  }
  SetOf(*tenant).insert(std::move(node));
}

void FairQueue::Leave(Tenant* tenant) {
  SetOf(*tenant).erase(tenant);
  if (!tenant->asleep) last_awake_ = tenant;
}

// Who would be lifted anyway is forgotten.
void FairQueue::DropOld() {
  const double least = Least();
  while (!closed_.empty() && (*closed_.begin())->counter <= least) {
    Tenant* const tenant = *closed_.begin();
    closed_.erase(closed_.begin());
    accounts_.erase(std::string(tenant->name));  // which goes with it
  }
}

FairQueue::Walk::Walk(FairQueue* queue, std::function<bool(const Sequence&)> ready)
    : queue_(queue), ready_(std::move(ready)) {
  ++queue_->walks_;
  for (int i = 0; i < 2; ++i) unopened_[i] = queue_->waiting_[i].begin();
}

Sequence* FairQueue::Walk::Next() {
  if (last_ != nullptr) {
    if (last_->state == Sequence::State::kWaiting) {
      given_.passed += ExpectedCharge(*last_) / given_.tenant->weight;
    }
    if (given_.next != given_.tenant->waiting.end()) Push(given_);
    last_ = nullptr;
  }
  for (Tenant* tenant = NextTenant(); tenant != nullptr; tenant = NextTenant()) {
    if (!heap_.empty() && heap_.front().key() <= tenant->counter) break;
    Open(tenant);
  }
  if (heap_.empty()) return nullptr;
  std::pop_heap(heap_.begin(), heap_.end(), Later);
  given_ = heap_.back();
  heap_.pop_back();
  last_ = *given_.next++;
  return last_;
}

bool FairQueue::Walk::Later(const Cursor& a, const Cursor& b) {
  const double x = a.key(), y = b.key();
  return x != y ? x > y : a.tenant->turn > b.tenant->turn;
}

void FairQueue::Walk::Push(const Cursor& cursor) {
  heap_.push_back(cursor);
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

// The tenant with the smallest counter that was not opened. Iterators rest on unopened ones alone:
// only opened ones change their places.
Tenant* FairQueue::Walk::NextTenant() {
  Tenant* least = nullptr;
  for (int i = 0; i < 2; ++i) {
    auto& next = unopened_[i];
    while (next != queue_->waiting_[i].end() && (*next)->walk == queue_->walks_) ++next;
    if (next == queue_->waiting_[i].end()) continue;
    if (least == nullptr || SmallerCounter()(*next, least)) least = *next;
  }
  return least;
}

void FairQueue::Walk::Open(Tenant* tenant) {
  ++unopened_[tenant->asleep ? 1 : 0];
  tenant->walk = queue_->walks_;
  if (ready_) queue_->SetAsleep(tenant, !ready_(**tenant->waiting.begin()));
  Push({tenant, tenant->waiting.begin()});
}

}  // namespace chorus::engine
