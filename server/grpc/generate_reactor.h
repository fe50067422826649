// GenerateReactor: one Inference.Generate call.
#ifndef CHORUS_SERVER_GRPC_GENERATE_REACTOR_H_
#define CHORUS_SERVER_GRPC_GENERATE_REACTOR_H_

#include <memory>

#include "grpcpp/support/server_callback.h"
#include "kernels/mutex.h"
#include "server/generate/answer_sink.h"
#include "server/generate/generation.h"
#include "server/grpc/front.h"

namespace chorus::server {

// Lives until gRPC is done with the call and nobody is about to write: held by itself, by the task
// that builds the request, and by its Generation.
class GenerateReactor : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public AnswerSink {
 public:
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(const Front* front,
                                                           grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer& request);

  // AnswerSink
  void Attach(std::shared_ptr<Generation> generation) override;
  void Write(const v1::GenerateResponse& message, bool last) override;
  void Fail(const absl::Status& status) override;
  void Cut(const absl::Status& status) override;

  // gRPC
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  GenerateReactor(const Front* front, grpc::CallbackServerContext* context)
      : front_(front), context_(context), arrival_(front->clock->Now()) {}

  // `self` is this: the client may leave meanwhile, and OnDone lets go of self_.
  void Begin(const std::shared_ptr<GenerateReactor>& self, const grpc::ByteBuffer& request);
  void ClientGone();

  const Front* const front_;
  grpc::CallbackServerContext* const context_;
  const absl::Time arrival_;
  std::shared_ptr<GenerateReactor> self_;  // until OnDone

  kernels::Mutex mutex_;
  bool finished_ CHORUS_GUARDED_BY(mutex_) = false;  // Finish was called, in one form or another
  bool done_ CHORUS_GUARDED_BY(mutex_) = false;      // the context is gone
  bool cancelled_ CHORUS_GUARDED_BY(mutex_) = false;
  absl::Status cut_ CHORUS_GUARDED_BY(mutex_);
  std::shared_ptr<Generation> generation_ CHORUS_GUARDED_BY(mutex_);
  grpc::ByteBuffer out_;  // gRPC's from a write to its OnWriteDone
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_GENERATE_REACTOR_H_
