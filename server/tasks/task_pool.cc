#include "server/tasks/task_pool.h"

#include <utility>

namespace chorus::server {

TaskPool::TaskPool(int num_threads) {
  for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { ThreadLoop(); });
}

TaskPool::~TaskPool() {
  {
    kernels::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void TaskPool::Post(Task task) {
  {
    kernels::MutexLock lock(&mutex_);
    queue_.push_back(std::move(task));
  }
  changed_.NotifyOne();
}

void TaskPool::ThreadLoop() {
  while (true) {
    Task task;
    {
      kernels::MutexLock lock(&mutex_);
      while (queue_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace chorus::server
