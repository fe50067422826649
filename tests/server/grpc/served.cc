#include "tests/server/grpc/served.h"

#include <utility>

#include "absl/time/clock.h"
#include "kernels/check.h"
#include "tests/support/serving_dir.h"

namespace chorus::test {

Served::Served(server::ServerConfig config)
    : Served(std::move(config), *server::ServingDevice::Open("cpu")) {}

Served::Served(server::ServerConfig config, server::ServingDevice device) {
  WriteServingDir(model_dir_.path(),
                  device.is_cpu() ? ServingHeads::kSmall : ServingHeads::kOfGpus);
  config.model = model_dir_.path();
  config.served_model_name = "base";
  config.store = store_dir_.path() + "/store";
  config.allow_volatile_store = true;
  config.listen = "127.0.0.1:0";
  config.metrics_listen = "none";
  config.threads = 2;
  absl::StatusOr<engine::ModelConfig> model = engine::ModelConfig::Load(config.model);
  CHORUS_CHECK(model.ok());
  model_ = *std::move(model);
  absl::StatusOr<std::unique_ptr<server::Daemon>> daemon =
      server::Daemon::Start(config, std::move(device));
  if (!daemon.ok()) std::fprintf(stderr, "%s\n", daemon.status().ToString().c_str());
  CHORUS_CHECK(daemon.ok());
  daemon_ = *std::move(daemon);
  ticks_ = std::thread([this] {
    while (!stopping_ && failure_.ok()) {
      failure_ = daemon_->Tick();
      CHORUS_CHECK(failure_.ok() || may_fail_);
      absl::SleepFor(server::Daemon::kTick);
    }
  });
  channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(daemon_->grpc_port()),
                                 grpc::InsecureChannelCredentials());
  inference_ = v1::Inference::NewStub(channel_);
  adapters_ = v1::Adapters::NewStub(channel_);
  admin_ = v1::Admin::NewStub(channel_);
}

Served::~Served() {
  stopping_ = true;
  if (ticks_.joinable()) ticks_.join();
}

absl::Status Served::Failure() {
  ticks_.join();
  return failure_;
}

AdapterFiles Served::MakeAdapter(uint64_t seed, int rank) const {
  return BuildAdapter(model_, {.rank = rank, .seed = seed, .scale = 0.5f});
}

grpc::Status Served::Upload(const std::string& name, const AdapterFiles& files,
                            v1::UploadResponse* response) {
  v1::UploadResponse ignored;
  grpc::ClientContext context;
  const auto writer = adapters_->Upload(&context, response != nullptr ? response : &ignored);
  const std::string config = files.config_text();
  const std::string tensors = files.tensor_file();
  v1::UploadRequest request;
  request.mutable_begin()->set_name(name);
  request.mutable_begin()->set_config_bytes(config.size());
  request.mutable_begin()->set_tensor_bytes(tensors.size());
  writer->Write(request);
  request.set_config(config);
  writer->Write(request);
  constexpr size_t kChunk = 1000;
  for (size_t at = 0; at < tensors.size(); at += kChunk) {
    request.set_tensors(tensors.substr(at, kChunk));
    if (!writer->Write(request)) break;
  }
  writer->WritesDone();
  return writer->Finish();
}

Served::Answer Served::Generate(const v1::GenerateRequest& request) {
  Answer answer;
  grpc::ClientContext context;
  const auto reader = inference_->Generate(&context, request);
  v1::GenerateResponse message;
  while (reader->Read(&message)) {
    if (message.has_started()) answer.started = message.started();
    if (message.has_summary()) answer.summary = message.summary();
    for (const v1::ChoiceDelta& delta : message.choices()) {
      if (delta.index() != 0) continue;
      answer.text += delta.text();
      answer.ids.insert(answer.ids.end(), delta.token_ids().begin(), delta.token_ids().end());
      if (delta.finish_reason() != 0) answer.reason = delta.finish_reason();
    }
  }
  answer.status = reader->Finish();
  return answer;
}

bool Served::Idle() {
  for (int i = 0; i < 3000; ++i) {
    v1::Load load;
    grpc::ClientContext context;
    if (admin_->GetLoad(&context, {}, &load).ok() && load.requests_running() == 0 &&
        load.requests_waiting() == 0) {
      return true;
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  return false;
}

v1::ErrorDetail DetailOf(const grpc::Status& status) {
  v1::Status details;
  v1::ErrorDetail detail;
  if (details.ParseFromString(status.error_details()) && details.details_size() == 1) {
    detail.ParseFromString(details.details(0).value());
  }
  return detail;
}

v1::GenerateRequest TextRequest(const std::string& model, const std::string& text, int max_tokens) {
  v1::GenerateRequest request;
  request.set_model(model);
  request.set_text(text);
  request.set_max_tokens(max_tokens);
  request.set_ignore_eos(true);
  return request;
}

}  // namespace chorus::test
