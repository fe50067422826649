#include "server/grpc/generate_reactor.h"

#include <utility>

#include "grpcpp/server_context.h"
#include "server/grpc/messages.h"

namespace chorus::server {

using kernels::MutexLock;

grpc::ServerWriteReactor<grpc::ByteBuffer>* GenerateReactor::Start(
    const Front* front, grpc::CallbackServerContext* context, const grpc::ByteBuffer& request) {
  std::shared_ptr<GenerateReactor> reactor(new GenerateReactor(front, context));
  reactor->self_ = reactor;
  front->tasks->Post([reactor, request] { reactor->Begin(reactor, request); });
  return reactor.get();
}

void GenerateReactor::Begin(const std::shared_ptr<GenerateReactor>& self,
                            const grpc::ByteBuffer& bytes) {
  v1::GenerateRequest request;
  absl::Status status = ParseMessage(bytes, &request);
  if (status.ok()) {
    absl::StatusOr<BuiltRequest> built = front_->builder->Build(request, front_->PrincipalOf());
    status = built.status();
    if (status.ok()) {
      status = front_->generations->Begin(*std::move(built), arrival_, self).status();
    }
  }
  if (!status.ok()) {
    Fail(status);
    return;
  }
  bool cancelled = false;
  {
    MutexLock lock(&mutex_);
    cancelled = cancelled_;
  }
  if (cancelled) ClientGone();  // before there was anything to end
}

void GenerateReactor::Attach(std::shared_ptr<Generation> generation) {
  MutexLock lock(&mutex_);
  generation_ = std::move(generation);
}

void GenerateReactor::Write(const v1::GenerateResponse& message, bool last) {
  grpc::ByteBuffer bytes = SerializeMessage(message);
  MutexLock lock(&mutex_);
  if (finished_) return;
  out_ = std::move(bytes);
  if (!last) {
    StartWrite(&out_);
    return;
  }
  finished_ = true;
  StartWriteAndFinish(&out_, grpc::WriteOptions(),
                      front_->Ended(Method::kGenerate, absl::OkStatus()));
}

void GenerateReactor::Fail(const absl::Status& status) {
  MutexLock lock(&mutex_);
  if (std::exchange(finished_, true)) return;
  Finish(front_->Ended(Method::kGenerate, status));
}

void GenerateReactor::Cut(const absl::Status& status) {
  MutexLock lock(&mutex_);
  if (done_) return;
  cut_ = status;
  context_->TryCancel();  // OnCancel follows on another thread, although a write is under way
}

void GenerateReactor::OnWriteDone(bool ok) {
  std::shared_ptr<Generation> generation;
  {
    MutexLock lock(&mutex_);
    generation = generation_;
  }
  if (ok) {
    front_->generations->OnWritten(generation);
  } else {
    ClientGone();
  }
}

void GenerateReactor::OnCancel() {
  {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    if (!std::exchange(finished_, true)) {
      Finish(front_->Ended(Method::kGenerate,
                           cut_.ok() ? absl::CancelledError("the client is gone") : cut_));
    }
  }
  ClientGone();
}

void GenerateReactor::OnDone() {
  ClientGone();
  const std::shared_ptr<GenerateReactor> self = std::move(self_);
  MutexLock lock(&mutex_);
  done_ = true;
  generation_.reset();
}

void GenerateReactor::ClientGone() {
  std::shared_ptr<Generation> generation;
  {
    MutexLock lock(&mutex_);
    generation = generation_;
  }
  if (generation != nullptr) front_->generations->OnClientGone(generation);
}

}  // namespace chorus::server
