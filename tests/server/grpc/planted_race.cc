// Two gRPC callbacks write one plain field at the same time. ThreadSanitizer must say so: then what
// tests/support/tsan_foreign_races.cc drops is gRPC's, and nothing of ours.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "chorus/v1/admin.grpc.pb.h"

namespace chorus::test {
namespace {

class RacingAdmin final : public v1::Admin::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetLoad(grpc::CallbackServerContext* context, const v1::GetLoadRequest*,
                                    v1::Load*) override {
    MeetTheOther();
    ++calls_;
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  // Relaxed: orders nothing, so the sanitizer takes the two for unordered, as they are.
  void MeetTheOther() {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    inside_.fetch_add(1, std::memory_order_relaxed);
    while (inside_.load(std::memory_order_relaxed) < 2 &&
           std::chrono::steady_clock::now() < give_up) {
      std::this_thread::yield();
    }
  }

  std::atomic<int> inside_ = 0;
  int calls_ = 0;
};

void CallOnce(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
  const auto stub = v1::Admin::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  v1::Load response;
  stub->GetLoad(&context, {}, &response);
}

void Race() {
  RacingAdmin admin;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&admin);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const std::string address = "127.0.0.1:" + std::to_string(port);
  std::thread first(CallOnce, address);
  std::thread second(CallOnce, address);
  first.join();
  second.join();
  server->Shutdown();
}

}  // namespace
}  // namespace chorus::test

int main() {
  chorus::test::Race();
  return 0;
}
