#include "engine/memory/reclaim_order.h"

namespace chorus::engine {
namespace {

// More uses than these do not count, or what was popular would stay for long after.
constexpr int32_t kMaxUses = 4;
// Pieces after which what was learnt before them counts half.
constexpr double kMemory = 8192.0;

}  // namespace

int32_t ReuseHistory::Enter(uint64_t id) {
  if (++entered_ > kMemory) {
    entered_ /= 2;
    reused_ /= 2;
  }
  const auto found = remembered_.find(id);
  if (found == remembered_.end()) return 0;
  const int32_t uses = found->second.uses + 1;
  remembered_.erase(found);
  ++reused_;
  return std::min(uses, kMaxUses);
}

void ReuseHistory::Use(int32_t* uses) {
  if (*uses == 0) ++reused_;
  *uses = std::min(*uses + 1, kMaxUses);
}

void ReuseHistory::Leave(uint64_t id, int32_t uses) {
  const uint64_t serial = next_serial_++;
  remembered_[id] = {uses, serial};
  oldest_.emplace_back(serial, id);
  while (static_cast<int64_t>(oldest_.size()) > max_remembered_) {
    const auto found = remembered_.find(oldest_.front().second);
    if (found != remembered_.end() && found->second.serial == oldest_.front().first) {
      remembered_.erase(found);
    }
    oldest_.pop_front();
  }
}

}  // namespace chorus::engine
