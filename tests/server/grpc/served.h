// Served: a chorusd of its own in this process, over a tiny model, and stubs of a client. Every
// test gets a fresh one, on a free port.
#ifndef CHORUS_TESTS_SERVER_GRPC_SERVED_H_
#define CHORUS_TESTS_SERVER_GRPC_SERVED_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "chorus/v1/adapters.grpc.pb.h"
#include "chorus/v1/admin.grpc.pb.h"
#include "chorus/v1/error.pb.h"
#include "chorus/v1/inference.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "server/daemon.h"
#include "tests/support/adapter_builder.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {

class Served {
 public:
  // `config`'s model, store and addresses are set here.
  explicit Served(server::ServerConfig config = {});
  // On this device, whatever `config` says of one.
  Served(server::ServerConfig config, server::ServingDevice device);
  ~Served();

  // The engine will fail: until this is called it must not. Failure waits and says with what.
  void ExpectFailure() { may_fail_ = true; }
  absl::Status Failure();

  server::Daemon& daemon() { return *daemon_; }
  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  v1::Inference::Stub& inference() { return *inference_; }
  v1::Adapters::Stub& adapters() { return *adapters_; }
  v1::Admin::Stub& admin() { return *admin_; }

  // An adapter that fits the model; another seed, another content.
  AdapterFiles MakeAdapter(uint64_t seed, int rank = 4) const;
  grpc::Status Upload(const std::string& name, const AdapterFiles& files,
                      v1::UploadResponse* response = nullptr);

  // The whole of one answer.
  struct Answer {
    grpc::Status status;
    std::string text;  // of choice 0
    std::vector<int32_t> ids;
    v1::FinishReason reason = v1::FINISH_REASON_UNSPECIFIED;
    v1::Started started;
    v1::Summary summary;
  };
  Answer Generate(const v1::GenerateRequest& request);

  // Waits until no request is in the engine; false after half a minute.
  bool Idle();

 private:
  TempDir model_dir_, store_dir_;
  engine::ModelConfig model_;
  std::unique_ptr<server::Daemon> daemon_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> may_fail_{false};
  absl::Status failure_;  // once ticks_ has ended
  std::thread ticks_;     // what main's loop does
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Inference::Stub> inference_;
  std::unique_ptr<v1::Adapters::Stub> adapters_;
  std::unique_ptr<v1::Admin::Stub> admin_;
};

// The detail that a refused call carries.
v1::ErrorDetail DetailOf(const grpc::Status& status);

v1::GenerateRequest TextRequest(const std::string& model, const std::string& text, int max_tokens);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SERVER_GRPC_SERVED_H_
