// AnswerSink: where an answer goes: a gRPC stream, later an HTTP one. A Generation holds it as
// shared_ptr, because it may be about to write when the call ends.
#ifndef CHORUS_SERVER_GENERATE_ANSWER_SINK_H_
#define CHORUS_SERVER_GENERATE_ANSWER_SINK_H_

#include <memory>

#include "absl/status/status.h"
#include "chorus/v1/inference.pb.h"

namespace chorus::server {

class Generation;

class AnswerSink {
 public:
  virtual ~AnswerSink() = default;

  // Whom to tell what happens to the writes; before the first of them.
  virtual void Attach(std::shared_ptr<Generation> generation) = 0;
  // Begins to send a message and returns at once; `last` ends the call with OK behind it. The sink
  // calls Generation::OnWritten when there is room for the next. One write at a time.
  virtual void Write(const v1::GenerateResponse& message, bool last) = 0;
  // Ends the call with an error, after the write under way.
  virtual void Fail(const absl::Status& status) = 0;
  // Ends the call at once, whatever is under way: the client reads nothing.
  virtual void Cut(const absl::Status& status) = 0;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GENERATE_ANSWER_SINK_H_
