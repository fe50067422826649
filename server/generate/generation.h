// Generation: one request between the engine and its client. It drains the engine's stream whenever
// the client has room for a message, so messages grow while a client is slow and nothing is
// buffered twice; the stream's bound is what ends a client that stays behind.
//
//   Start ─▶ "started" message ─▶ OnNews / OnWritten … ─▶ last message, or an error
//                                  OnClientGone at any time: the engine ends it, its usage is
//                                  logged
#ifndef CHORUS_SERVER_GENERATE_GENERATION_H_
#define CHORUS_SERVER_GENERATE_GENERATION_H_

#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "kernels/mutex.h"
#include "server/generate/answer.h"
#include "server/generate/answer_sink.h"
#include "server/generate/request_builder.h"
#include "server/metrics/request_meter.h"

namespace chorus::server {

class Generation {
 public:
  // `engine`, `tokenizer` and `clock` must outlive this. `built.engine` is not looked at any more
  // once it is submitted.
  Generation(engine::Engine* engine, const engine::Tokenizer* tokenizer, const BuiltRequest& built,
             RequestMeter meter, std::shared_ptr<AnswerSink> sink, const engine::Clock* clock);
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // Sends the first message. REQUIRES: `stream` is of the request, submitted.
  void Start(std::shared_ptr<engine::TokenStream> stream);

  // Any thread may call these; they return true once nothing more will happen.
  bool OnNews();        // the engine has said something
  bool OnWritten();     // there is room for the next message
  bool OnClientGone();  // the call is over for the client, who gets nothing more
  // One sweep. Ends the call of a client that has had the same message before it for more than
  // `limit` sweeps; true if it did.
  bool CutIfStalled(int limit);

 private:
  // What is to be done without the lock.
  struct Step {
    v1::GenerateResponse message;
    bool last = false;
    absl::Status failure;
    std::vector<int32_t> stopped;
    std::shared_ptr<AnswerSink> sink;  // null: there is nothing to write
  };

  bool done() const CHORUS_REQUIRES(mutex_) { return ended_ && sink_ == nullptr; }
  void TakeEvents(Step* step) CHORUS_REQUIRES(mutex_);
  void BeginWrite(Step* step) CHORUS_REQUIRES(mutex_);
  void Meter(const v1::GenerateResponse& message, absl::Time now) CHORUS_REQUIRES(mutex_);
  void AddSummary(v1::GenerateResponse* message) const CHORUS_REQUIRES(mutex_);
  void Do(const Step& step);

  engine::Engine* const engine_;
  const engine::Clock* const clock_;
  const std::string engine_id_;
  const int32_t prompt_tokens_;
  const v1::Started started_;

  kernels::Mutex mutex_;
  std::shared_ptr<engine::TokenStream> stream_ CHORUS_GUARDED_BY(mutex_);  // shared with the engine
  Answer answer_ CHORUS_GUARDED_BY(mutex_);
  RequestMeter meter_ CHORUS_GUARDED_BY(mutex_);
  std::shared_ptr<AnswerSink> sink_ CHORUS_GUARDED_BY(mutex_);  // null: the client is gone
  bool writing_ CHORUS_GUARDED_BY(mutex_) = false;
  int sweeps_ CHORUS_GUARDED_BY(mutex_) = 0;  // that have seen the message that is being written
  bool cut_ CHORUS_GUARDED_BY(mutex_) = false;
  bool ended_ CHORUS_GUARDED_BY(mutex_) = false;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GENERATE_GENERATION_H_
