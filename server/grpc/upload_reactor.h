// UploadReactor: one Adapters.Upload call. One message at a time: it is read, then handled on a
// thread that may wait for the disk, then the next one is read; so a client cannot send faster than
// the disk writes.
#ifndef CHORUS_SERVER_GRPC_UPLOAD_REACTOR_H_
#define CHORUS_SERVER_GRPC_UPLOAD_REACTOR_H_

#include <atomic>
#include <memory>
#include <set>
#include <string>

#include "chorus/v1/adapters.pb.h"
#include "grpcpp/support/server_callback.h"
#include "kernels/mutex.h"
#include "server/grpc/front.h"

namespace chorus::server {

class UploadReactor;

// Uploads under way, so that those whose clients send nothing can be ended. Thread-safe.
class UploadTable {
 public:
  void Add(UploadReactor* reactor);
  void Remove(UploadReactor* reactor);
  // One sweep: cancels the calls that have waited for their client for more than `limit` sweeps.
  void CutStalled(int limit);

 private:
  kernels::Mutex mutex_;
  std::set<UploadReactor*> reactors_ CHORUS_GUARDED_BY(mutex_);
};

// Lives until gRPC is done with the call.
class UploadReactor : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  // `out` is gRPC's until Finish.
  UploadReactor(const Front* front, UploadTable* table, grpc::CallbackServerContext* context,
                grpc::ByteBuffer* out);

  void OnReadDone(bool ok) override;
  void OnDone() override;

 private:
  friend class UploadTable;

  // One at a time: after a read, until the next one begins.
  void HandleMessage();
  void HandleEnd();
  absl::Status Begin(const v1::UploadBegin& begin);
  absl::Status Append(const v1::UploadRequest& request);
  absl::StatusOr<engine::AdapterInfo> Commit();
  void End(const absl::Status& status);
  void Read();

  const Front* const front_;
  UploadTable* const table_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const out_;
  const absl::Time arrival_;
  const Principal principal_;
  grpc::ByteBuffer in_;
  std::string name_;
  std::unique_ptr<engine::Upload> upload_;
  bool tensors_began_ = false;
  int64_t bytes_ = 0;
  std::atomic<bool> waiting_{false};  // for the client
  std::atomic<int> sweeps_{0};        // that have seen it wait
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_UPLOAD_REACTOR_H_
