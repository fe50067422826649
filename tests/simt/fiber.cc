#include "tests/simt/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

#include "kernels/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if !defined(__x86_64__)
#error "The switch between fibers is written for x86-64"
#endif

// What a call must preserve goes on the stack that is left, and comes from the one that is entered.
// Six registers and two moves: ucontext would ask the kernel for the signal mask twice.
extern "C" void chorus_switch_stack(void** save, void* load);
asm(R"(
.text
.p2align 4
.globl chorus_switch_stack
.type chorus_switch_stack, @function
chorus_switch_stack:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size chorus_switch_stack, .-chorus_switch_stack
)");

namespace chorus::kernels {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 256 * 1024;  // frames have red zones
#else
constexpr size_t kStackBytes = 64 * 1024;
#endif
constexpr size_t kGuardBytes = 4096;

thread_local Fiber* g_left = nullptr;
thread_local Fiber* g_entered = nullptr;

}  // namespace

Fiber::Fiber(int index) : stagger_(static_cast<size_t>(index % 64) * 320) {
  void* const mapping = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHORUS_CHECK(mapping != MAP_FAILED);
  CHORUS_CHECK_EQ(mprotect(mapping, kGuardBytes, PROT_NONE), 0);
  mapping_ = static_cast<std::byte*>(mapping);
  stack_ = mapping_ + kGuardBytes;
  stack_bytes_ = kStackBytes;
}

Fiber::~Fiber() {
  if (mapping_ != nullptr) munmap(mapping_, kGuardBytes + kStackBytes);
}

void Fiber::Restart(void (*run)(void*), void* argument) {
  run_ = run;
  argument_ = argument;
  fake_stack_ = nullptr;
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack_, stack_bytes_);  // abandoned frames leave red zones
#endif
  auto** top = reinterpret_cast<void**>(mapping_ + kGuardBytes + kStackBytes - 64 - stagger_);
  *--top = nullptr;  // where Begin would return to; keeps its frame aligned
  *--top = reinterpret_cast<void*>(&Fiber::Begin);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  stack_pointer_ = top;
}

void Fiber::SwitchTo(Fiber& to) {
  g_left = this;
  g_entered = &to;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_stack_, to.stack_, to.stack_bytes_);
#endif
  chorus_switch_stack(&stack_pointer_, to.stack_pointer_);
  Landed();
}

void Fiber::LeaveFor(Fiber& to) {
  g_left = this;
  g_entered = &to;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(nullptr, to.stack_, to.stack_bytes_);
#endif
  chorus_switch_stack(&stack_pointer_, to.stack_pointer_);
  std::abort();
}

void Fiber::Landed() {
#if defined(__SANITIZE_ADDRESS__)
  const void* stack = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fake_stack_, &stack, &bytes);
  if (g_left->mapping_ == nullptr) {
    g_left->stack_ = stack;
    g_left->stack_bytes_ = bytes;
  }
#endif
}

void Fiber::Begin() {
  Fiber* const self = g_entered;
  self->Landed();
  self->run_(self->argument_);
  std::abort();
}

}  // namespace chorus::kernels
