// TokenStream: what the engine says to one request's reader: tokens, then how each choice ended.
// Bounded: the engine never waits for a reader, it cancels one that stays behind. StreamBell wakes
// the readers' thread once a step with all streams that have news.
#ifndef CHORUS_ENGINE_SCHEDULE_TOKEN_STREAM_H_
#define CHORUS_ENGINE_SCHEDULE_TOKEN_STREAM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "kernels/mutex.h"
#include "kernels/sampling/sample.h"

namespace chorus::engine {

enum class FinishReason {
  kStop,        // an end-of-sequence or stop id, which the event names
  kLength,      // max_tokens or the context's end
  kDeadline,    // the request's deadline passed
  kCancelled,   // Engine::Cancel
  kSlowReader,  // the stream was full
  kError,       // status says why
};

struct StreamEvent {
  enum class Kind { kAdmitted, kToken, kFinished };
  Kind kind = Kind::kToken;
  int32_t choice = 0;
  // kAdmitted, once a request
  int32_t cached_tokens = 0;  // of the prompt, found in the prefix cache
  absl::Duration queue_time;  // from Submit to admission
  // kToken
  kernels::SampledToken token;
  // kFinished, once a choice
  FinishReason reason = FinishReason::kStop;
  int32_t stop_token = -1;  // kStop
  absl::Status status;      // kError
};

// One producer (the engine thread), one consumer.
class TokenStream {
 public:
  explicit TokenStream(size_t capacity) : capacity_(capacity) {}

  // False, and nothing is kept, when `capacity` tokens wait. kAdmitted and kFinished always fit.
  bool TryPush(StreamEvent event);
  // Takes all that waits.
  std::vector<StreamEvent> Drain();

 private:
  const size_t capacity_;
  kernels::Mutex mutex_;
  std::vector<StreamEvent> events_ CHORUS_GUARDED_BY(mutex_);
  size_t tokens_ CHORUS_GUARDED_BY(mutex_) = 0;  // among events_
};

// Collects the streams that have news. Shared by the engine (Add, Ring) and one or more readers.
class StreamBell {
 public:
  // Engine thread: remembers a stream until the next Ring. A stream may be added twice.
  void Add(const std::shared_ptr<TokenStream>& stream);
  // Engine thread, once a step: hands what was added to the readers.
  void Ring();
  // Blocks until there is news or Close was called; empty means closed. Thread-safe.
  std::vector<std::shared_ptr<TokenStream>> Wait();
  void Close();

 private:
  std::vector<std::shared_ptr<TokenStream>> added_;  // engine thread only
  kernels::Mutex mutex_;
  kernels::CondVar changed_;
  std::vector<std::shared_ptr<TokenStream>> rung_ CHORUS_GUARDED_BY(mutex_);
  bool closed_ CHORUS_GUARDED_BY(mutex_) = false;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_TOKEN_STREAM_H_
