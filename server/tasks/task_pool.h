// TaskPool: a few threads for work that would hold up gRPC's own threads: tokenising, and reading
// and writing files. Tasks run in the order in which they come.
#ifndef CHORUS_SERVER_TASKS_TASK_POOL_H_
#define CHORUS_SERVER_TASKS_TASK_POOL_H_

#include <deque>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernels/mutex.h"

namespace chorus::server {

// Thread-safe.
class TaskPool {
 public:
  using Task = absl::AnyInvocable<void()>;

  // REQUIRES: num_threads >= 1.
  explicit TaskPool(int num_threads);
  // Runs what is queued, then joins.
  ~TaskPool();
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  // The queue is as long as there are calls, which the server bounds.
  void Post(Task task);

 private:
  void ThreadLoop();

  kernels::Mutex mutex_;
  kernels::CondVar changed_;
  std::deque<Task> queue_ CHORUS_GUARDED_BY(mutex_);
  bool stopping_ CHORUS_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_TASKS_TASK_POOL_H_
