// A flow of control with a stack of its own, on the thread of the operating system that switches to
// it. Frames may be abandoned: they are forgotten, not unwound, so nothing in them may own
// anything.
#ifndef CHORUS_TESTS_SIMT_FIBER_H_
#define CHORUS_TESTS_SIMT_FIBER_H_

#include <cstddef>

namespace chorus::kernels {

class Fiber {
 public:
  // The flow of whoever creates it; it is known once it has switched away.
  Fiber() = default;
  // A stack for Restart, with an unmapped page below it. `index` staggers the stacks' tops, which
  // would share cache sets at equal distances.
  explicit Fiber(int index);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next switch to this fiber calls run(argument), which must never return, on an empty stack.
  void Restart(void (*run)(void*), void* argument);

  // Goes on with `to` until somebody switches back.
  void SwitchTo(Fiber& to);
  // The same, never to be switched back to before a Restart.
  [[noreturn]] void LeaveFor(Fiber& to);

 private:
  static void Begin();
  void Landed();

  void* stack_pointer_ = nullptr;
  std::byte* mapping_ = nullptr;  // null: the stack is not ours
  const void* stack_ = nullptr;   // its lowest byte
  size_t stack_bytes_ = 0;
  size_t stagger_ = 0;
  void* fake_stack_ = nullptr;  // AddressSanitizer's, while the fiber waits
  void (*run_)(void*) = nullptr;
  void* argument_ = nullptr;
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_FIBER_H_
