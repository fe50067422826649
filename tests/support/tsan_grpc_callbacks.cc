// What gRPC's callback API promises, said to ThreadSanitizer: all that was done before an operation
// was started comes before the callback that ends it, and a call's callbacks before its OnDone.
// gRPC orders them through atomics of its uninstrumented libraries, which the sanitizer cannot see.
// These stand before the libraries' functions that start operations and that schedule OnCancel and
// OnDone.
#include <dlfcn.h>
#include <grpc/grpc.h>
#include <grpcpp/support/server_callback.h>
#include <sanitizer/tsan_interface.h>

#include <array>
#include <atomic>
#include <cstring>
#include <utility>

extern "C" void __sanitizer_symbolize_pc(void* pc, const char* format, char* out, size_t out_size);

namespace {

using Functor = grpc_completion_queue_functor;
using Run = void (*)(Functor*, int);

// Each entry of gRPC's that runs a callback; few, because they are static functions. Relaxed: what
// two callbacks order among themselves must not come from here.
constexpr size_t kMostRuns = 8;
std::array<std::atomic<Run>, kMostRuns> runs;

template <size_t kIndex>
void RunAfterAcquire(Functor* functor, int ok) {
  __tsan_acquire(functor);
  runs[kIndex].load(std::memory_order_relaxed)(functor, ok);
}

template <size_t... kIndices>
constexpr std::array<Run, kMostRuns> MakeWrappers(std::index_sequence<kIndices...>) {
  return {RunAfterAcquire<kIndices>...};
}
constexpr auto kWrappers = MakeWrappers(std::make_index_sequence<kMostRuns>());

bool IsWrapper(Run run) {
  for (const Run wrapper : kWrappers) {
    if (run == wrapper) return true;
  }
  return false;
}

// Tags of the callback API begin with such an entry, all others with a pointer to a vtable.
bool IsCallbackEntry(Run run) {
  std::array<char, 256> name = {};
  // A function's first byte is taken for the end of the one before.
  char* const inside = reinterpret_cast<char*>(run) + 1;
  __sanitizer_symbolize_pc(inside, "%f", name.data(), name.size());
  return std::strstr(name.data(), "::StaticRun(") != nullptr;
}

Run WrapperOf(Run run) {
  for (size_t i = 0; i < kMostRuns; ++i) {
    Run seen = runs[i].load(std::memory_order_relaxed);
    if (seen == nullptr && IsCallbackEntry(run) &&
        runs[i].compare_exchange_strong(seen, run, std::memory_order_relaxed)) {
      return kWrappers[i];
    }
    if (seen == run) return kWrappers[i];
    if (seen == nullptr) return nullptr;
  }
  return nullptr;
}

}  // namespace

// Tags lie in memory that gRPC uses again, so it reads them unseen.
extern "C" __attribute__((no_sanitize("thread"))) grpc_call_error grpc_call_start_batch(
    grpc_call* call, const grpc_op* ops, size_t nops, void* tag, void* reserved) {
  static const auto real =
      reinterpret_cast<decltype(&grpc_call_start_batch)>(dlsym(RTLD_NEXT, "grpc_call_start_batch"));
  auto* const functor = static_cast<Functor*>(tag);
  if (!IsWrapper(functor->functor_run)) {
    const Run wrapper = WrapperOf(functor->functor_run);
    if (wrapper != nullptr) functor->functor_run = wrapper;
  }
  __tsan_release(tag);
  return real(call, ops, nops, tag, reserved);
}

namespace {

// Stands for a call's reactor while the library runs its OnCancel, and counts down after it.
class Cancelling final : public grpc::internal::ServerReactor {
 public:
  Cancelling(grpc::internal::ServerReactor* reactor, void* count)
      : reactor_(reactor), count_(count) {
    __tsan_release(this);
  }

  void OnCancel() override {
    __tsan_acquire(this);
    reactor_->OnCancel();
    __tsan_release(count_);
    delete this;
  }
  void OnDone() override {}

 private:
  grpc::internal::ServerReactor* const reactor_;
  void* const count_;
};

template <typename Function>
Function Real(const char* mangled) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, mangled));
}

}  // namespace

namespace grpc::internal {

// It comes after all that OnCancel waits for, and is one of the callbacks that OnDone waits for.
void ServerCallbackCall::CallOnCancel(ServerReactor* reactor) {
  static const auto real = Real<void (*)(ServerCallbackCall*, ServerReactor*)>(
      "_ZN4grpc8internal18ServerCallbackCall12CallOnCancelEPNS0_13ServerReactorE");
  __tsan_acquire(&on_cancel_conditions_remaining_);
  if (!reactor->InternalInlineable()) reactor = new Cancelling(reactor, &callbacks_outstanding_);
  real(this, reactor);
}

// Each callback ends by counting down; the last one may do so in the library.
void ServerCallbackCall::ScheduleOnDone(bool inline_ondone) {
  static const auto real = Real<void (*)(ServerCallbackCall*, bool)>(
      "_ZN4grpc8internal18ServerCallbackCall14ScheduleOnDoneEb");
  __tsan_acquire(&callbacks_outstanding_);
  real(this, inline_ondone);
}

}  // namespace grpc::internal
