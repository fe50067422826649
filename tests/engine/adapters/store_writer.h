// The store writer of the kill and power-cut tests: a process that changes a catalog on the real
// file system for ever, says before each step what it is about to do and after each what the
// catalog answered; and the other side, which starts it, ends it, and compares what a new process
// finds.
//
//   "ready"                             the catalog is open
//   "begin KIND TENANT NAME SEED"
//   "done VERSION DIGEST PINNED"        the step was acknowledged
//   "absent"                            there was nothing to delete or pin
#ifndef CHORUS_TESTS_ENGINE_ADAPTERS_STORE_WRITER_H_
#define CHORUS_TESTS_ENGINE_ADAPTERS_STORE_WRITER_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/engine/adapters/crash_workload.h"

namespace chorus::test {

// Which kind of fsync the writer's file system pretends to do.
inline constexpr char kForgetNothing[] = "nothing";
inline constexpr char kForgetFiles[] = "files";
inline constexpr char kForgetDirectories[] = "directories";

// The main loop of the writer's process. Returns when something fails.
absl::Status WriteForEver(const std::string& directory, uint64_t seed, const std::string& forget);

// A writer in a process of its own, which this process may end.
class WriterProcess {
 public:
  // `program` is the writer's executable.
  WriterProcess(const std::string& program, const std::string& directory, uint64_t seed,
                const std::string& forget);
  ~WriterProcess();  // ends and reaps it
  WriterProcess(const WriterProcess&) = delete;
  WriterProcess& operator=(const WriterProcess&) = delete;

  // Waits until it has said so many lines; false when it ended instead.
  bool WaitForLines(int count);
  void Stop();  // SIGSTOP, and waits until it stands
  // Ends it and takes all its lines.
  std::vector<std::string> Kill();

 private:
  void ReadMore();

  pid_t pid_ = -1;
  int output_ = -1;
  std::string text_;
};

// What the writer's lines say.
class WriterLog {
 public:
  void Add(const std::vector<std::string>& lines);
  // What is wrong with what a new process found: a difference from what was acknowledged that the
  // step under way does not explain. What was found is what stands from now on.
  std::optional<std::string> Compare(const Contents& found);
  int64_t num_acked() const { return num_acked_; }

 private:
  bool Explains(const NameKey& key, const Contents& found) const;

  Contents acked_;
  std::optional<Step> in_flight_;
  int64_t num_acked_ = 0;
};

// Opens the store as a new process would, and reads it whole.
absl::StatusOr<Contents> ReadStore(const std::string& directory,
                                   std::vector<std::string>* problems);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_ADAPTERS_STORE_WRITER_H_
