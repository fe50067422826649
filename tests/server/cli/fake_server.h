// chorus.v1 with scripted answers, on a port of 127.0.0.1 that the system chose: what the client's
// commands meet in their tests. Scripts are written before the calls that they answer.
#ifndef CHORUS_TESTS_SERVER_CLI_FAKE_SERVER_H_
#define CHORUS_TESTS_SERVER_CLI_FAKE_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chorus/v1/adapters.grpc.pb.h"
#include "chorus/v1/admin.grpc.pb.h"
#include "chorus/v1/error.pb.h"
#include "chorus/v1/inference.grpc.pb.h"
#include "kernels/mutex.h"

namespace chorus::cli {

// A status as the server sends it: with an ErrorDetail in grpc-status-details-bin.
grpc::Status Refusal(grpc::StatusCode code, const std::string& message,
                     const v1::ErrorDetail& detail);
v1::ErrorDetail Detail(v1::ErrorDetail::Reason reason, const std::string& object,
                       const std::string& expected, const std::string& got,
                       int64_t retry_after_ms = 0);

// What one model answers, one message a piece, each piece a token.
struct FakeAnswer {
  std::vector<std::string> pieces;
  v1::FinishReason finish = v1::STOP;
  grpc::Status status;        // sent after the pieces
  bool until_cancel = false;  // after the pieces, waits until the client cancels
  int wait_ms = 0;            // before the first piece
  bool with_logprobs = false;
  bool with_summary = true;
  std::optional<v1::Activation> activation;
};

class FakeInference : public v1::Inference::Service {
 public:
  std::map<std::string, FakeAnswer> answers;  // by model; others are ADAPTER_NOT_FOUND
  grpc::Status cancel_status;
  v1::TokenizeResponse tokens;

  std::vector<v1::GenerateRequest> requests() const CHORUS_EXCLUDES(mutex_);
  std::vector<std::string> cancelled_ids() const CHORUS_EXCLUDES(mutex_);
  v1::TokenizeRequest tokenize_request() const CHORUS_EXCLUDES(mutex_);

 private:
  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        grpc::ServerWriter<v1::GenerateResponse>* writer) override;
  grpc::Status Cancel(grpc::ServerContext*, const v1::CancelRequest* request,
                      v1::CancelResponse*) override;
  grpc::Status Tokenize(grpc::ServerContext*, const v1::TokenizeRequest* request,
                        v1::TokenizeResponse* response) override;

  mutable kernels::Mutex mutex_;
  std::vector<v1::GenerateRequest> requests_ CHORUS_GUARDED_BY(mutex_);
  std::vector<std::string> cancelled_ids_ CHORUS_GUARDED_BY(mutex_);
  v1::TokenizeRequest tokenize_request_ CHORUS_GUARDED_BY(mutex_);
};

// What came of an upload, as the messages brought it.
struct FakeUpload {
  v1::UploadBegin begin;
  std::string config;
  std::string tensors;
  size_t largest_message = 0;
};

// One call of Watch: its events, then its status.
struct FakeWatch {
  std::vector<v1::AdapterEvent> events;
  grpc::Status status;
};

class FakeAdapters : public v1::Adapters::Service {
 public:
  std::vector<v1::Adapter> adapters;
  size_t list_page = 1000;      // adapters a page at most
  grpc::Status upload_refusal;  // not OK: sent after the first message
  std::vector<std::string> upload_warnings;
  grpc::Status delete_status;
  std::vector<FakeWatch> watches;  // by call; later calls are UNAVAILABLE

  FakeUpload upload() const CHORUS_EXCLUDES(mutex_);
  std::vector<uint64_t> watched_since() const CHORUS_EXCLUDES(mutex_);
  v1::PinAdapterRequest pin_request() const CHORUS_EXCLUDES(mutex_);
  v1::DeleteAdapterRequest delete_request() const CHORUS_EXCLUDES(mutex_);
  int list_calls() const CHORUS_EXCLUDES(mutex_);

 private:
  grpc::Status Upload(grpc::ServerContext*, grpc::ServerReader<v1::UploadRequest>* reader,
                      v1::UploadResponse* response) override;
  grpc::Status Get(grpc::ServerContext*, const v1::GetAdapterRequest* request,
                   v1::Adapter* adapter) override;
  grpc::Status List(grpc::ServerContext*, const v1::ListAdaptersRequest* request,
                    v1::ListAdaptersResponse* response) override;
  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteAdapterRequest* request,
                      v1::Adapter* adapter) override;
  grpc::Status Pin(grpc::ServerContext*, const v1::PinAdapterRequest* request,
                   v1::Adapter* adapter) override;
  grpc::Status Watch(grpc::ServerContext*, const v1::WatchAdaptersRequest* request,
                     grpc::ServerWriter<v1::AdapterEvent>* writer) override;

  mutable kernels::Mutex mutex_;
  FakeUpload upload_ CHORUS_GUARDED_BY(mutex_);
  std::vector<uint64_t> watched_since_ CHORUS_GUARDED_BY(mutex_);
  v1::PinAdapterRequest pin_request_ CHORUS_GUARDED_BY(mutex_);
  v1::DeleteAdapterRequest delete_request_ CHORUS_GUARDED_BY(mutex_);
  int list_calls_ CHORUS_GUARDED_BY(mutex_) = 0;
};

class FakeAdmin : public v1::Admin::Service {
 public:
  v1::ServerInfo info;
  v1::Load load;

  int drains() const CHORUS_EXCLUDES(mutex_);

 private:
  grpc::Status GetServerInfo(grpc::ServerContext*, const v1::GetServerInfoRequest*,
                             v1::ServerInfo* response) override;
  grpc::Status GetLoad(grpc::ServerContext*, const v1::GetLoadRequest*,
                       v1::Load* response) override;
  grpc::Status Drain(grpc::ServerContext*, const v1::DrainRequest*, v1::DrainResponse*) override;

  mutable kernels::Mutex mutex_;
  int drains_ CHORUS_GUARDED_BY(mutex_) = 0;
};

class FakeServer {
 public:
  FakeServer();
  ~FakeServer();

  const std::string& address() const { return address_; }
  void SetServing(bool serving) { server_->GetHealthCheckService()->SetServingStatus(serving); }

  FakeInference inference;
  FakeAdapters adapters;
  FakeAdmin admin;

 private:
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace chorus::cli

#endif  // CHORUS_TESTS_SERVER_CLI_FAKE_SERVER_H_
