// Generations: all requests between the engine and their clients. One thread listens to the
// engine's bell and lets each generation with news go on; a sweep ends clients that do not read.
#ifndef CHORUS_SERVER_GENERATE_GENERATIONS_H_
#define CHORUS_SERVER_GENERATE_GENERATIONS_H_

#include <memory>
#include <string>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "server/generate/generation.h"
#include "server/metrics/server_metrics.h"

namespace chorus::server {

// Thread-safe.
class Generations {
 public:
  // All must outlive this; `bell` is the engine's, shared with it.
  Generations(engine::Engine* engine, const engine::Tokenizer* tokenizer, ServerMetrics* metrics,
              std::shared_ptr<engine::StreamBell> bell, const engine::Clock* clock);
  // REQUIRES: every call has ended.
  ~Generations();

  // Hands the request to the engine. What Engine::Submit refuses is passed through.
  absl::StatusOr<std::shared_ptr<Generation>> Begin(BuiltRequest built, absl::Time arrival,
                                                    std::shared_ptr<AnswerSink> sink);
  void OnWritten(const std::shared_ptr<Generation>& generation);
  void OnClientGone(const std::shared_ptr<Generation>& generation);

  // Ends the request; unknown ids are ignored: it may just have ended.
  void Cancel(const std::string& tenant, const std::string& request_id);

  // One sweep: cuts off every client that has had the same message before it for more than `limit`
  // sweeps. Not a time: after a pause of the whole machine nobody is to blame.
  void CutStalled(int limit);

 private:
  void Listen();
  void Remove(const Generation* generation);

  engine::Engine* const engine_;
  const engine::Tokenizer* const tokenizer_;
  ServerMetrics* const metrics_;
  const std::shared_ptr<engine::StreamBell> bell_;
  const engine::Clock* const clock_;
  kernels::Mutex mutex_;
  // Each is shared with the call it answers.
  absl::flat_hash_map<const engine::TokenStream*, std::shared_ptr<Generation>> by_stream_
      CHORUS_GUARDED_BY(mutex_);
  absl::flat_hash_map<const Generation*, const engine::TokenStream*> streams_
      CHORUS_GUARDED_BY(mutex_);
  std::thread listener_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GENERATE_GENERATIONS_H_
