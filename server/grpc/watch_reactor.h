// WatchReactor: one Adapters.Watch call.
#ifndef CHORUS_SERVER_GRPC_WATCH_REACTOR_H_
#define CHORUS_SERVER_GRPC_WATCH_REACTOR_H_

#include <memory>

#include "grpcpp/support/server_callback.h"
#include "kernels/mutex.h"
#include "server/grpc/front.h"

namespace chorus::server {

// Lives until gRPC is done with the call and nobody announces news to it.
class WatchReactor : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                     public std::enable_shared_from_this<WatchReactor> {
 public:
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(const Front* front,
                                                           const grpc::ByteBuffer& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  explicit WatchReactor(const Front* front) : front_(front) {}

  void Begin(const grpc::ByteBuffer& request);
  // Writes the next event, if there is one and no write is under way.
  void Advance();
  void End(const absl::Status& status) CHORUS_REQUIRES(mutex_);

  const Front* const front_;
  std::shared_ptr<WatchReactor> self_;  // until OnDone
  kernels::Mutex mutex_;
  std::unique_ptr<engine::CatalogWatch> watch_ CHORUS_GUARDED_BY(mutex_);
  bool writing_ CHORUS_GUARDED_BY(mutex_) = false;
  bool finished_ CHORUS_GUARDED_BY(mutex_) = false;
  grpc::ByteBuffer out_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_WATCH_REACTOR_H_
