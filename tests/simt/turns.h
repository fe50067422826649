// Turns: which thread of a block runs next.
#ifndef CHORUS_TESTS_SIMT_TURNS_H_
#define CHORUS_TESTS_SIMT_TURNS_H_

#include <cstdint>
#include <vector>

#include "tests/simt/simt_options.h"

namespace chorus::kernels {

class Turns {
 public:
  // All threads are ready.
  void Begin(const SimtOptions& options, int threads, int block);

  void SetReady(int thread) { ready_[static_cast<size_t>(thread / 32)] |= 1u << (thread % 32); }
  void SetWaiting(int thread) {
    ready_[static_cast<size_t>(thread / 32)] &= ~(1u << (thread % 32));
  }
  // The ready thread whose turn it is; -1 if none is ready.
  int Next();

 private:
  uint32_t Random();
  int RandomThread();

  Order order_ = Order::kForward;
  uint32_t random_ = 1;
  std::vector<uint32_t> ready_;  // [warps] a bit for each lane
  std::vector<int> warps_;       // the first that has a ready lane is next
};

// 0 … count - 1 in the order of the options: warps of a block, blocks of a launch.
std::vector<int> InOrder(const SimtOptions& options, int count);

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_TURNS_H_
