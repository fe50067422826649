// What a run on the SIMT executor is asked, and what it tells.
#ifndef CHORUS_TESTS_SIMT_SIMT_OPTIONS_H_
#define CHORUS_TESTS_SIMT_SIMT_OPTIONS_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace chorus::kernels {

// Whose turn it is among the threads of a block that can go on. Whoever has it runs until it has to
// wait, or all were let go by a Sync or SyncWarp. Clusters of blocks, mostly of one, run one after
// the other, in the same order; within one, blocks take turns in it too.
enum class Order : uint8_t {
  kForward,  // the lowest first
  kReverse,  // the highest first
  kRandom,   // any, by the seed
  kAhead,    // the chosen warp whenever it can
  kBehind,   // the chosen warp only when no other can
};
constexpr std::string_view Name(Order order) {
  constexpr std::string_view kNames[] = {"forward", "reverse", "random", "ahead", "behind"};
  return kNames[static_cast<size_t>(order)];
}

// A call in a kernel source, as its file and line name it.
struct Place {
  const char* file;
  int line;
};

// A call that the mutation test can take away: a Guard is then always true, the others do nothing.
// Two of one kind on one line are one site.
enum class SiteKind : uint8_t {
  kSync,
  kSyncWarp,
  kGuard,
  kCopyWait,
  kCopyCommit,
  kBarWait,
  kBarFence,
  kClusterSync,
  kWaitForPrior
};
struct Site {
  SiteKind kind;
  std::string_view file;
  int line;

  auto operator<=>(const Site&) const = default;
};

struct SimtOptions {
  Order order = Order::kForward;
  uint32_t seed = 1;
  int chosen_warp = 0;       // taken modulo the number of warps, and of blocks
  bool toward_zero = false;  // sums of an MMA are cut off, not rounded
  bool shadow = true;        // watch who touches shared memory
  bool early = false;        // as a launch that begins early: block 0 is to call WaitForPrior
  std::optional<Site> mutated;
  std::set<Site>* sites = nullptr;  // if set, every run adds the sites that it came by
};

struct SimtReport {
  std::string failure;  // empty: nothing was found
  std::set<Site> sites;
  int64_t mmas = 0;      // of a warp
  int64_t switches = 0;  // from one thread to another
};

// "shrink.cu:57 SyncWarp".
std::string Name(const Site& site);
// The part of a path after its last slash.
const char* FileName(const char* path);

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIMT_OPTIONS_H_
