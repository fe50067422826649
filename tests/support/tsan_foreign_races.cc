// Debian's gRPC, Protobuf and Abseil are built without ThreadSanitizer: what their atomics order it
// cannot see (their mutexes: tsan_absl_mutex.cc). A report in which both accesses were made by
// their own code is dropped; so is one in which theirs is the allocation of the memory, or the
// other one is lost. A suppression file could not say that: it looks at every frame of a stack, and
// below each of our callbacks lies gRPC. planted_race shows in every run that ours come through.
#include <dlfcn.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

extern "C" int __tsan_get_report_mop(void* report, unsigned long index, int* thread, void** address,
                                     int* size, int* write, int* atomic, void** trace,
                                     unsigned long trace_size);
extern "C" void __sanitizer_symbolize_pc(void* pc, const char* format, char* out, size_t out_size);

namespace {

constexpr int kNumFrames = 16;

// The program or library that holds `pc`, without its folder.
const char* ModuleOf(void* pc) {
  Dl_info info;
  if (dladdr(pc, &info) == 0 || info.dli_fname == nullptr) return "";
  const char* const slash = std::strrchr(info.dli_fname, '/');
  return slash == nullptr ? info.dli_fname : slash + 1;
}

bool BeginsWithAny(std::string_view text, std::span<const char* const> prefixes) {
  for (const char* const prefix : prefixes) {
    if (text.starts_with(prefix)) return true;
  }
  return false;
}

// They stand for whoever called them: memcpy, operator delete, std::string's copies.
constexpr std::array kTransparent = {"libtsan.", "libstdc++.", "libc."};
constexpr std::array kForeignModules = {"libgrpc", "libgpr.", "libupb.", "libabsl_",
                                        "libprotobuf."};
constexpr std::array kAllocators = {"malloc",         "calloc",        "realloc",
                                    "posix_memalign", "aligned_alloc", "operator new"};
constexpr std::array kForeignNames = {"grpc::", "grpc_core::", "absl::", "google::protobuf::"};

// "grpc::Call::Run" of "void grpc::Call::Run<int>(bool)".
std::string_view NameWithoutTypes(std::string_view function) {
  function = function.substr(0, function.find_first_of("(<"));
  return function.substr(function.find_last_of(' ') + 1);
}

enum class Maker { kUnknown, kForeign, kOurs };

// Of the code at `pc`, with what was inlined there: innermost first, as strings one after another.
Maker MakerAt(void* pc) {
  const char* const module = ModuleOf(pc);
  if (BeginsWithAny(module, kTransparent)) return Maker::kUnknown;
  if (BeginsWithAny(module, kForeignModules)) return Maker::kForeign;
  std::array<char, 4096> functions = {};
  __sanitizer_symbolize_pc(pc, "%f", functions.data(), functions.size() - 1);
  for (const char* function = functions.data(); *function != '\0';
       function += std::strlen(function) + 1) {
    const std::string_view name = NameWithoutTypes(function);
    if (name.starts_with("std::")) continue;
    return BeginsWithAny(name, kForeignNames) ? Maker::kForeign : Maker::kOurs;
  }
  return Maker::kUnknown;
}

struct Access {
  bool foreign = false;  // made by such code: its first frame with a say of its own
  // It is the allocation of the memory, which nobody can race with: who has the address has it from
  // who allocated. gRPC builds our messages in memory of its own.
  bool allocation = false;
  bool lost = false;  // TSan no longer knows who made it
};

Access AccessOf(void* report, unsigned long index) {
  std::array<void*, kNumFrames> trace = {};
  int thread, size, write, atomic;
  void* address;
  __tsan_get_report_mop(report, index, &thread, &address, &size, &write, &atomic, trace.data(),
                        trace.size());
  Access access;
  access.lost = trace[0] == nullptr;
  std::array<char, 256> function = {};
  if (trace[0] != nullptr) {
    __sanitizer_symbolize_pc(trace[0], "%f", function.data(), function.size() - 1);
    std::string_view name = function.data();
    if (constexpr std::string_view kHook = "__interceptor_"; name.starts_with(kHook)) {
      name.remove_prefix(kHook.size());
    }
    access.allocation = BeginsWithAny(name, kAllocators);
  }
  for (void* const pc : trace) {
    if (pc == nullptr) break;
    const Maker maker = MakerAt(pc);
    if (maker == Maker::kUnknown) continue;
    access.foreign = maker == Maker::kForeign;
    break;
  }
  return access;
}

}  // namespace

namespace __tsan {

class ReportDesc;

// The runtime asks before it prints; true drops the report.
bool OnReport(const ReportDesc* report, bool suppressed) {
  void* const handle = const_cast<ReportDesc*>(report);
  const Access first = AccessOf(handle, 0);
  const Access second = AccessOf(handle, 1);
  const auto drops = [](const Access& access, const Access& other) {
    return access.foreign && (other.foreign || access.allocation || other.lost);
  };
  return suppressed || drops(first, second) || drops(second, first);
}

}  // namespace __tsan
