// Shadow: who touched each pair of bytes of a block's shared memory last, so that two accesses that
// only luck orders are found whatever the order they came in.
//
// A block's run is cut into intervals by its Syncs, and within them a warp's into warp intervals by
// its SyncWarps (neither shuffles nor MMAs order memory). Two accesses of one interval by different
// threads are ordered only if the threads share a warp and a SyncWarp lies between. Interval
// numbers never restart, so that what an earlier block wrote counts as never written.
//
// The bytes of bulk copies that land together are a landing. Within the interval it is ordered
// before the threads that waited for its mbarrier, and those that met one of them in a SyncWarp.
//
// Other blocks of a cluster may read. Between them and this block only ClusterSyncs order.
#ifndef CHORUS_TESTS_SIMT_SHADOW_H_
#define CHORUS_TESTS_SIMT_SHADOW_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace chorus::kernels {

enum class Access : uint8_t {
  kRead,
  kWrite,
  kAtomic,
  kStream,  // a read past the caches that follow writes; of global memory only
};
constexpr bool Reads(Access access) { return access == Access::kRead || access == Access::kStream; }

class Shadow {
 public:
  static constexpr int kSeveral = -2;  // in place of a thread
  static constexpr int kLanding = -3;  // the same

  struct Actor {
    int thread;
    uint32_t warp_interval;
    int line;  // of the access, for reports
  };
  struct Conflict {
    enum Kind : uint8_t {
      kUnwritten,
      kCopyUnderWay,
      kLanded,
      kUnfenced,
      kWritten,
      kRead,
      kAtomic
    } kind;
    int byte;
    int thread;  // who was there before, or kSeveral
    int line;
    bool same_warp;
    int block = -1;  // whose thread it was, if another's
  };

  // Nothing of `bytes` has been written.
  void BeginBlock(int bytes);
  void EndInterval();
  void EndWarpInterval(int warp);
  void EndClusterInterval();

  // Notes the access, or tells what it conflicts with.
  std::optional<Conflict> Touch(Access access, int begin, int bytes, const Actor& actor);
  // The same for a read by another block, number `block` of the launch.
  std::optional<Conflict> TouchRemote(int begin, int bytes, int block, const Actor& actor);
  // From issue to landing of an asynchronous copy nobody may touch the bytes.
  void SetCopying(int begin, int bytes, bool copying);
  // Whose stores the copy engine does not see yet, if any are among the bytes.
  std::optional<Conflict> FindUnfenced(int begin, int bytes) const;
  void NoteFence(int thread) { ++fences_[static_cast<size_t>(thread)]; }
  // What Land is told next lands together; the number is for NoteWait, and never 0.
  uint32_t BeginLanding();
  void Land(int begin, int bytes);
  // The thread has waited for that landing, if it is of this interval.
  void NoteWait(uint32_t landing, int thread);
  // Forgets copies of a block that was abandoned.
  void Forget();

 private:
  // The last to have touched something in one way, or several at once.
  struct Party {
    uint32_t interval = 0;
    uint32_t warp_interval = 0;  // of a landing: its number
    int16_t thread = -1;
    int16_t warp = -1;
    uint16_t line = 0;
    uint8_t fences = 0;    // that its thread had passed, modulo 256
    bool copying = false;  // of a writer: the copy has not landed
  };
  struct Pair {
    Party writer;
    Party readers;
  };

  struct RemoteReader {
    uint32_t interval = 0;  // of this block
    int32_t block = -1;
    int32_t line = 0;
  };

  struct Landing {
    std::array<uint32_t, 32> waiters{};  // a bit for each lane of each warp
  };

  bool Unordered(const Party& party, const Actor& actor) const;
  Conflict Report(Conflict::Kind kind, const Party& party, int pair, const Actor& actor) const;
  void Set(Party& party, const Actor& actor) const;
  void Join(Party& party, const Actor& actor) const;

  uint32_t interval_ = 0;
  uint32_t block_begin_ = 0;    // the first interval of this block
  uint32_t cluster_begin_ = 0;  // the first since the last ClusterSync
  std::vector<Pair> pairs_;     // of bytes
  uint32_t first_landing_ = 1;  // of this interval
  std::vector<Landing> landings_;
  std::array<uint8_t, 1024> fences_{};  // passed by each thread, modulo 256
  std::vector<Party> atomics_;          // like pairs_; empty until the first atomic
  std::vector<RemoteReader> remote_;    // the newest; empty until the first
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SHADOW_H_
