#include "engine/schedule/token_stream.h"

#include <algorithm>
#include <utility>

namespace chorus::engine {

bool TokenStream::TryPush(StreamEvent event) {
  kernels::MutexLock lock(&mutex_);
  if (event.kind == StreamEvent::Kind::kToken) {
    if (tokens_ == capacity_) return false;
    ++tokens_;
  }
  events_.push_back(std::move(event));
  return true;
}

std::vector<StreamEvent> TokenStream::Drain() {
  kernels::MutexLock lock(&mutex_);
  tokens_ = 0;
  return std::exchange(events_, {});
}

void StreamBell::Add(const std::shared_ptr<TokenStream>& stream) {
  if (added_.empty() || added_.back() != stream) added_.push_back(stream);
}

void StreamBell::Ring() {
  if (added_.empty()) return;
  {
    kernels::MutexLock lock(&mutex_);
    rung_.insert(rung_.end(), std::make_move_iterator(added_.begin()),
                 std::make_move_iterator(added_.end()));
  }
  added_.clear();
  changed_.NotifyAll();
}

std::vector<std::shared_ptr<TokenStream>> StreamBell::Wait() {
  kernels::MutexLock lock(&mutex_);
  while (rung_.empty() && !closed_) changed_.Wait(&mutex_);
  return std::exchange(rung_, {});
}

void StreamBell::Close() {
  {
    kernels::MutexLock lock(&mutex_);
    closed_ = true;
  }
  changed_.NotifyAll();
}

}  // namespace chorus::engine
