// SimtBarrier: what the executor knows of an mbarrier.
#ifndef CHORUS_TESTS_SIMT_SIMT_BARRIER_H_
#define CHORUS_TESTS_SIMT_SIMT_BARRIER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace chorus::kernels {

struct SimtBarrier {
  struct Copy {
    std::byte* to;
    const std::byte* from;
    int bytes;
  };

  int byte;         // of shared memory, where its word is
  int count;        // arrivals of a phase
  int initializer;  // the thread
  bool fenced = false;

  // Of the phase that is under way.
  uint32_t phase = 0;
  int to_come = 0;  // arrivals
  int64_t expected_bytes = 0;
  int64_t copied_bytes = 0;  // issued, not landed
  std::vector<Copy> copies;

  // Of the phase before.
  uint32_t landing = 0;  // Shadow's, of its bytes

  // Only the copy engine has still to act. When it does is open.
  bool LacksOnlyLanding() const { return to_come == 0 && copied_bytes == expected_bytes; }
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIMT_BARRIER_H_
