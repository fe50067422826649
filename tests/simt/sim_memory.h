// SimMemory: the memory of a SimDevice, its own and pinned. What work uses is checked: it must lie
// in one live buffer of the right kind, and everything that conflicts with it must be ordered.
// Buffers begin and end poisoned with 0xff (NaN in every float, -1 as an index), and an address is
// never used again. Not thread-safe.
#ifndef CHORUS_TESTS_SIMT_SIM_MEMORY_H_
#define CHORUS_TESTS_SIMT_SIM_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/simt/access_history.h"
#include "tests/simt/access_set.h"
#include "tests/simt/simt_memory.h"

namespace chorus::kernels {

class SimMemory {
 public:
  enum class Kind : uint8_t { kDevice, kPinned };

  SimMemory() { kernels_.set_accesses(&accesses_, &early_accesses_); }
  ~SimMemory();
  SimMemory(const SimMemory&) = delete;
  SimMemory& operator=(const SimMemory&) = delete;

  // Null when the system has none. Only the first and last 64 MiB are poisoned of more than 256.
  std::byte* Allocate(Kind kind, int64_t bytes);
  // An error when a use of the buffer is not known to `host` to be done, or is still queued. The
  // buffer is gone in any case.
  absl::Status Free(std::byte* data, const Clock& host);
  int64_t device_bytes() const { return device_bytes_; }
  int64_t live_buffers() const { return live_buffers_; }

  // Bytes [at, at + bytes) lie in a live buffer of `kind`; errors call them `what`.
  absl::Status Check(Kind kind, const void* at, int64_t bytes, const char* what) const;
  // Work `id`, which starts when `clock` is known, uses them.
  absl::Status Use(const void* at, int64_t bytes, bool write, const WorkId& id, const Clock& clock);

  // Copies that are queued and have not run, by their bytes of pinned memory. REQUIRES: checked.
  struct Queued {
    std::byte* at;
    int64_t bytes;
    bool write;
    uint64_t sum = 0;      // of the source when it was enqueued
    bool watched = false;  // whether nothing but the host could change it since
  };
  using Ticket = std::list<Queued>::iterator;
  // Remembers what the source holds now, or poisons the destination, unless other queued copies
  // have their say in these bytes.
  Ticket QueueCopy(std::byte* at, int64_t bytes, bool write);
  // The copy runs. An error when the host has changed its source since QueueCopy.
  absl::Status RunCopy(Ticket ticket, const char* name);

  // For launches: the memory to run them with, and the check of what they have used since the last.
  SimtMemory& kernels() { return kernels_; }
  // `early`: what is known before its WaitForPrior, null unless it begins early.
  absl::Status UseOfLaunch(const WorkId& id, const Clock& clock, const Clock* early);

 private:
  struct Buffer {
    Kind kind;
    int64_t bytes;
    int64_t mapped_bytes;
    bool live = true;
    AccessHistory history;
  };
  using Buffers = std::map<const std::byte*, Buffer>;  // by first byte; freed ones stay

  // The buffer that holds `at`, live or not; end() if none does.
  Buffers::const_iterator Find(const void* at) const;

  Buffers buffers_;
  std::list<Queued> queued_;
  SimtMemory kernels_;
  AccessSet accesses_, early_accesses_;
  int64_t device_bytes_ = 0;
  int64_t live_buffers_ = 0;
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIM_MEMORY_H_
