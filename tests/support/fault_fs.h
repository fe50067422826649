// FaultFs: a file system in memory that remembers what was made durable, so that a test can build
// every state a power cut may leave (after ALICE, Pillai et al., OSDI 2014) and fail any one call.
//
// The rules are harsher than ext4's or xfs's. A write is durable after the file's fsync; a name
// after its directory's; a rename, atomic, after the fsync of the directory it went to; an fsync
// that failed has thrown away what it covered, and a later one does not bring it back.
#ifndef CHORUS_TESTS_SUPPORT_FAULT_FS_H_
#define CHORUS_TESTS_SUPPORT_FAULT_FS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/adapters/file_system.h"
#include "kernels/mutex.h"

namespace chorus::test {

enum class Fault { kIoError, kNoSpace, kShortWrite };

// The medium: outlives the processes that use it. Thread-safe.
class FaultDisk {
 public:
  // Variants of a store that forgets a kind of fsync, made by ignoring it here.
  struct Options {
    bool ignore_file_sync = false;
    bool ignore_directory_sync = false;

    bool honest() const { return !ignore_file_sync && !ignore_directory_sync; }
  };

  FaultDisk() : FaultDisk(Options{}) {}
  explicit FaultDisk(Options options) : options_(options), nodes_(1), base_(nodes_) {}

  // Number of things that happened: writes, changes of names, fsyncs.
  int64_t now() const;

  // Calls are counted from 0 at the time of the call; the `call`-th from then fails.
  void FailCall(int64_t call, Fault fault);
  // The next call of this kind fails: "write", "fsync", "fsync of a directory", "rename" …
  void FailNext(const std::string& kind, Fault fault);
  bool fault_fired() const { return !failed_call().empty(); }
  std::string failed_call() const;  // its kind; empty when none has failed yet

  // The process dies (kill -9) at its `call`-th call from now: that call and all later ones of the
  // file systems that are open change nothing. What they did before stays, synced or not, and the
  // lock is free.
  void KillAtCall(int64_t call);
  bool killed() const;

  // Files that somebody holds open, for writing or reading.
  int open_files() const { return open_files_; }
  // Contents by path, as a running process sees them.
  std::map<std::string, std::string> Files() const;
  // Flips one bit: a disk that forgets.
  void Corrupt(const std::string& path, size_t offset);

  // Calls `visit` with each state that a cut of power just before event `at` may leave, and with
  // what was dropped.
  void ForEachCrashState(
      int64_t at,
      const std::function<void(std::shared_ptr<FaultDisk>, const std::string& what)>& visit) const;
  // The state in which all that was not made durable is lost.
  std::shared_ptr<FaultDisk> CutPower() const;
  // The disk as a running process sees it, with its own future.
  std::shared_ptr<FaultDisk> Copy() const;

 private:
  friend class FaultFs;
  friend class FaultFile;
  friend class OpenBytes;

  struct Node {
    bool is_directory = true;
    std::string bytes;
    std::map<std::string, size_t> names;
  };
  struct Effect {
    enum class Kind { kWrite, kLink, kUnlink, kRename } kind = Kind::kWrite;
    int64_t time = 0;
    int64_t durable = std::numeric_limits<int64_t>::max();  // time of the fsync that covers it
    bool thrown_away = false;                               // by an fsync that failed
    size_t node = 0;
    size_t directory = 0;  // where the name appears or goes away
    std::string name;
    size_t from_directory = 0;  // renames
    std::string from_name;
    uint64_t offset = 0;  // writes
    std::string bytes;
    bool makes_directory = false;
  };
  enum class How { kDrop, kKeep, kZero, kFirst512, kFirst4096 };

  static void Apply(const Effect& effect, How how, std::vector<Node>* nodes);
  std::shared_ptr<FaultDisk> Build(int64_t at, const std::function<How(size_t)>& how) const
      CHORUS_REQUIRES(mutex_);
  void Add(Effect effect) CHORUS_REQUIRES(mutex_);
  // OK, or the fault whose turn it is, or Cancelled for a process that is dead.
  absl::Status Count(const std::string& call, bool reads, int64_t process) CHORUS_REQUIRES(mutex_);
  void Sync(const std::function<bool(const Effect&)>& covers, bool failed, bool ignored)
      CHORUS_REQUIRES(mutex_);
  absl::StatusOr<size_t> Find(const std::string& path) const CHORUS_REQUIRES(mutex_);
  struct Place {
    size_t directory = 0;
    std::string name;
  };
  absl::StatusOr<Place> FindPlace(const std::string& path) const CHORUS_REQUIRES(mutex_);

  const Options options_;
  std::atomic<int> open_files_{0};
  mutable kernels::Mutex mutex_;
  std::vector<Node> nodes_ CHORUS_GUARDED_BY(mutex_);  // 0 is the root
  std::vector<Node> base_ CHORUS_GUARDED_BY(mutex_);   // what was durable at first
  std::vector<Effect> effects_ CHORUS_GUARDED_BY(mutex_);
  int64_t now_ CHORUS_GUARDED_BY(mutex_) = 0;
  int64_t calls_until_fault_ CHORUS_GUARDED_BY(mutex_) = -1;
  std::string failing_kind_ CHORUS_GUARDED_BY(mutex_);  // empty: none
  Fault fault_ CHORUS_GUARDED_BY(mutex_) = Fault::kIoError;
  std::string failed_call_ CHORUS_GUARDED_BY(mutex_);
  int64_t calls_until_kill_ CHORUS_GUARDED_BY(mutex_) = -1;
  int64_t process_ CHORUS_GUARDED_BY(mutex_) = 0;  // the one that lives
  bool locked_ CHORUS_GUARDED_BY(mutex_) = false;
};

// One process's view of a disk.
class FaultFs : public engine::FileSystem {
 public:
  // The disk is shared with the test and with files that are still open.
  explicit FaultFs(std::shared_ptr<FaultDisk> disk);
  ~FaultFs() override;

  absl::Status Lock(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<engine::WritableFile>> Create(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<engine::ByteSource>> Open(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Unlink(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status RemoveDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<std::vector<engine::DirectoryEntry>> List(const std::string& path) override;
  absl::StatusOr<engine::FileStat> Stat(const std::string& path) override;
  absl::Status DropCache(const std::string& path) override;
  absl::StatusOr<uint64_t> FreeBytes() override { return uint64_t{1} << 40; }
  absl::StatusOr<std::string> VolatileKind() override { return std::string(); }

 private:
  absl::Status Remove(const std::string& path, bool of_directory);

  const std::shared_ptr<FaultDisk> disk_;
  const int64_t process_;
  bool holds_lock_ = false;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_FAULT_FS_H_
