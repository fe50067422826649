#include "server/grpc/watch_reactor.h"

#include <utility>

#include "server/grpc/adapter_messages.h"

namespace chorus::server {

using kernels::MutexLock;

grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchReactor::Start(const Front* front,
                                                                const grpc::ByteBuffer& request) {
  std::shared_ptr<WatchReactor> reactor(new WatchReactor(front));
  reactor->self_ = reactor;
  front->tasks->Post([reactor, request] { reactor->Begin(request); });
  return reactor.get();
}

void WatchReactor::Begin(const grpc::ByteBuffer& bytes) {
  v1::WatchAdaptersRequest request;
  absl::Status status = ParseMessage(bytes, &request);
  if (status.ok()) {
    auto watch = front_->catalog->Watch(front_->PrincipalOf().tenant, request.since_revision());
    status = watch.status();
    if (status.ok()) {
      (*watch)->OnNews([weak = weak_from_this()] {
        if (const std::shared_ptr<WatchReactor> reactor = weak.lock()) reactor->Advance();
      });
      MutexLock lock(&mutex_);
      watch_ = *std::move(watch);
    }
  }
  if (!status.ok()) {
    MutexLock lock(&mutex_);
    End(status);
    return;
  }
  Advance();
}

void WatchReactor::Advance() {
  MutexLock lock(&mutex_);
  if (watch_ == nullptr || writing_ || finished_) return;
  const absl::StatusOr<std::optional<engine::CatalogEvent>> event =
      watch_->Next(absl::ZeroDuration());
  if (!event.ok()) {
    End(event.status());
    return;
  }
  if (!event->has_value()) return;
  out_ = SerializeMessage(ToProto(
      **event, front_->engine->StateOf((*event)->adapter.tenant, (*event)->adapter.digest)));
  writing_ = true;
  StartWrite(&out_);
}

void WatchReactor::OnWriteDone(bool ok) {
  {
    MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) End(absl::CancelledError("the client is gone"));
  }
  Advance();
}

void WatchReactor::OnCancel() {
  MutexLock lock(&mutex_);
  End(absl::CancelledError("the client is gone"));
}

void WatchReactor::OnDone() { const std::shared_ptr<WatchReactor> self = std::move(self_); }

void WatchReactor::End(const absl::Status& status) {
  if (std::exchange(finished_, true)) return;
  Finish(front_->Ended(Method::kWatch, status));
}

}  // namespace chorus::server
