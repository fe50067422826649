#include "tests/simt/turns.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <random>

namespace chorus::kernels {

std::vector<int> InOrder(const SimtOptions& options, int count) {
  std::vector<int> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  const auto chosen = order.begin() + options.chosen_warp % count;
  switch (options.order) {
    case Order::kForward:
      break;
    case Order::kReverse:
      std::reverse(order.begin(), order.end());
      break;
    case Order::kRandom:
      std::shuffle(order.begin(), order.end(), std::mt19937(options.seed));
      break;
    case Order::kAhead:
      std::rotate(order.begin(), chosen, chosen + 1);
      break;
    case Order::kBehind:
      std::rotate(chosen, chosen + 1, order.end());
      break;
  }
  return order;
}

void Turns::Begin(const SimtOptions& options, int threads, int block) {
  order_ = options.order;
  random_ = (options.seed * 2654435761u + static_cast<uint32_t>(block) * 40503u) | 1u;
  ready_.assign(static_cast<size_t>(threads / 32), ~0u);
  warps_ = InOrder(options, threads / 32);
}

int Turns::Next() {
  if (order_ == Order::kRandom) return RandomThread();
  for (const int warp : warps_) {
    const uint32_t ready = ready_[static_cast<size_t>(warp)];
    if (ready == 0) continue;
    const int lane =
        order_ == Order::kReverse ? 31 - std::countl_zero(ready) : std::countr_zero(ready);
    return warp * 32 + lane;
  }
  return -1;
}

uint32_t Turns::Random() {  // xorshift: Marsaglia, Journal of Statistical Software 8(14)
  random_ ^= random_ << 13;
  random_ ^= random_ >> 17;
  random_ ^= random_ << 5;
  return random_;
}

int Turns::RandomThread() {
  const size_t warps = ready_.size();
  size_t warp = Random() % warps;
  for (size_t tried = 0; tried < warps; ++tried, warp = (warp + 1) % warps) {
    const uint32_t ready = ready_[warp];
    if (ready == 0) continue;
    const int skip = static_cast<int>(Random() & 31u);
    const int lane = (std::countr_zero(std::rotr(ready, skip)) + skip) % 32;
    return static_cast<int>(warp) * 32 + lane;
  }
  return -1;
}

}  // namespace chorus::kernels
