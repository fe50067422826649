#include "tests/server/cli/fake_server.h"

#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "tests/server/cli/script_order.h"

namespace chorus::cli {

using kernels::MutexLock;

v1::ErrorDetail Detail(v1::ErrorDetail::Reason reason, const std::string& object,
                       const std::string& expected, const std::string& got,
                       int64_t retry_after_ms) {
  v1::ErrorDetail detail;
  detail.set_reason(reason);
  detail.set_object(object);
  detail.set_expected(expected);
  detail.set_got(got);
  detail.set_retry_after_ms(retry_after_ms);
  return detail;
}

grpc::Status Refusal(grpc::StatusCode code, const std::string& message,
                     const v1::ErrorDetail& detail) {
  v1::Status packed;
  packed.set_code(code);
  packed.set_message(message);
  v1::PackedDetail* part = packed.add_details();
  part->set_type_url("type.googleapis.com/chorus.v1.ErrorDetail");
  part->set_value(detail.SerializeAsString());
  return grpc::Status(code, message, packed.SerializeAsString());
}

std::vector<v1::GenerateRequest> FakeInference::requests() const {
  const MutexLock lock(&mutex_);
  return requests_;
}

std::vector<std::string> FakeInference::cancelled_ids() const {
  const MutexLock lock(&mutex_);
  return cancelled_ids_;
}

v1::TokenizeRequest FakeInference::tokenize_request() const {
  const MutexLock lock(&mutex_);
  return tokenize_request_;
}

namespace {

void AddPiece(const FakeAnswer& answer, const std::string& piece, int index,
              v1::GenerateResponse* message) {
  v1::ChoiceDelta* delta = message->add_choices();
  delta->set_index(index);
  delta->set_text(piece);
  delta->add_token_ids(static_cast<int32_t>(piece.size()));
  if (!answer.with_logprobs) return;
  v1::TokenLogprobs* logprobs = delta->add_logprobs();
  logprobs->mutable_token()->set_bytes(piece);
  logprobs->mutable_token()->set_logprob(-0.25f);
  v1::TokenLogprob* top = logprobs->add_top();
  top->set_bytes("other");
  top->set_logprob(-2.5f);
}

}  // namespace

grpc::Status FakeInference::Generate(grpc::ServerContext* context,
                                     const v1::GenerateRequest* request,
                                     grpc::ServerWriter<v1::GenerateResponse>* writer) {
  PassScripts();
  {
    const MutexLock lock(&mutex_);
    requests_.push_back(*request);
  }
  const auto found = answers.find(request->model());
  if (found == answers.end()) {
    return Refusal(grpc::StatusCode::NOT_FOUND, "no such adapter",
                   Detail(v1::ErrorDetail::ADAPTER_NOT_FOUND,
                          absl::StrCat("model \"", request->model(), "\""), "a name in use", ""));
  }
  const FakeAnswer& answer = found->second;
  v1::GenerateResponse message;
  message.mutable_started()->set_request_id("r-1");
  message.mutable_started()->set_model(request->model());
  if (answer.activation) *message.mutable_started()->mutable_activation() = *answer.activation;
  writer->Write(message);
  std::this_thread::sleep_for(std::chrono::milliseconds(answer.wait_ms));
  const int choices = request->has_n() ? request->n() : 1;
  for (const std::string& piece : answer.pieces) {
    message.Clear();
    for (int index = 0; index < choices; ++index) AddPiece(answer, piece, index, &message);
    writer->Write(message);
  }
  if (answer.until_cancel) {
    while (!context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return grpc::Status::CANCELLED;
  }
  if (!answer.status.ok()) return answer.status;
  message.Clear();
  for (int index = 0; index < choices; ++index) {
    v1::ChoiceDelta* delta = message.add_choices();
    delta->set_index(index);
    delta->set_finish_reason(answer.finish);
  }
  if (answer.with_summary) {
    v1::Usage* usage = message.mutable_summary()->mutable_usage();
    usage->set_prompt_tokens(request->has_token_ids() ? request->token_ids().ids_size() : 7);
    usage->set_completion_tokens(static_cast<int32_t>(answer.pieces.size()) * choices);
    message.mutable_summary()->set_time_to_first_token_us(1500);
  }
  writer->Write(message);
  return grpc::Status::OK;
}

grpc::Status FakeInference::Cancel(grpc::ServerContext*, const v1::CancelRequest* request,
                                   v1::CancelResponse*) {
  PassScripts();
  const MutexLock lock(&mutex_);
  cancelled_ids_.push_back(request->request_id());
  return cancel_status;
}

grpc::Status FakeInference::Tokenize(grpc::ServerContext*, const v1::TokenizeRequest* request,
                                     v1::TokenizeResponse* response) {
  PassScripts();
  const MutexLock lock(&mutex_);
  tokenize_request_ = *request;
  *response = tokens;
  return grpc::Status::OK;
}

FakeUpload FakeAdapters::upload() const {
  const MutexLock lock(&mutex_);
  return upload_;
}

std::vector<uint64_t> FakeAdapters::watched_since() const {
  const MutexLock lock(&mutex_);
  return watched_since_;
}

v1::PinAdapterRequest FakeAdapters::pin_request() const {
  const MutexLock lock(&mutex_);
  return pin_request_;
}

v1::DeleteAdapterRequest FakeAdapters::delete_request() const {
  const MutexLock lock(&mutex_);
  return delete_request_;
}

int FakeAdapters::list_calls() const {
  const MutexLock lock(&mutex_);
  return list_calls_;
}

grpc::Status FakeAdapters::Upload(grpc::ServerContext*,
                                  grpc::ServerReader<v1::UploadRequest>* reader,
                                  v1::UploadResponse* response) {
  PassScripts();
  FakeUpload upload;
  for (v1::UploadRequest message; reader->Read(&message);) {
    upload.largest_message =
        std::max({upload.largest_message, message.config().size(), message.tensors().size()});
    if (message.has_begin()) upload.begin = message.begin();
    upload.config += message.config();
    upload.tensors += message.tensors();
    if (!upload_refusal.ok()) return upload_refusal;
  }
  v1::Adapter* adapter = response->mutable_adapter();
  adapter->set_name(upload.begin.name());
  adapter->set_version(3);
  adapter->set_digest("sha256:" + std::string(64, 'a'));
  for (const std::string& warning : upload_warnings) adapter->add_warnings(warning);
  const MutexLock lock(&mutex_);
  upload_ = std::move(upload);
  return grpc::Status::OK;
}

grpc::Status FakeAdapters::Get(grpc::ServerContext*, const v1::GetAdapterRequest* request,
                               v1::Adapter* adapter) {
  PassScripts();
  for (const v1::Adapter& known : adapters) {
    if (known.name() != request->name()) continue;
    *adapter = known;
    return grpc::Status::OK;
  }
  return grpc::Status(grpc::StatusCode::NOT_FOUND, "adapter: no such name");
}

// The page token is the first adapter's index.
grpc::Status FakeAdapters::List(grpc::ServerContext*, const v1::ListAdaptersRequest* request,
                                v1::ListAdaptersResponse* response) {
  PassScripts();
  const MutexLock lock(&mutex_);
  ++list_calls_;
  size_t at = 0;
  if (!request->page_token().empty()) CHORUS_CHECK(absl::SimpleAtoi(request->page_token(), &at));
  const size_t end = std::min(adapters.size(), at + list_page);
  for (; at < end; ++at) *response->add_adapters() = adapters[at];
  if (end < adapters.size()) response->set_next_page_token(absl::StrCat(end));
  return grpc::Status::OK;
}

grpc::Status FakeAdapters::Delete(grpc::ServerContext*, const v1::DeleteAdapterRequest* request,
                                  v1::Adapter* adapter) {
  PassScripts();
  const MutexLock lock(&mutex_);
  delete_request_ = *request;
  adapter->set_name(request->name());
  return delete_status;
}

grpc::Status FakeAdapters::Pin(grpc::ServerContext*, const v1::PinAdapterRequest* request,
                               v1::Adapter* adapter) {
  PassScripts();
  const MutexLock lock(&mutex_);
  pin_request_ = *request;
  adapter->set_name(request->name());
  adapter->set_version(4);
  adapter->set_pinned(request->pinned());
  return grpc::Status::OK;
}

grpc::Status FakeAdapters::Watch(grpc::ServerContext*, const v1::WatchAdaptersRequest* request,
                                 grpc::ServerWriter<v1::AdapterEvent>* writer) {
  PassScripts();
  size_t call = 0;
  {
    const MutexLock lock(&mutex_);
    call = watched_since_.size();
    watched_since_.push_back(request->since_revision());
  }
  if (call >= watches.size()) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  for (const v1::AdapterEvent& event : watches[call].events) writer->Write(event);
  return watches[call].status;
}

int FakeAdmin::drains() const {
  const MutexLock lock(&mutex_);
  return drains_;
}

grpc::Status FakeAdmin::GetServerInfo(grpc::ServerContext*, const v1::GetServerInfoRequest*,
                                      v1::ServerInfo* response) {
  PassScripts();
  *response = info;
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::GetLoad(grpc::ServerContext*, const v1::GetLoadRequest*,
                                v1::Load* response) {
  PassScripts();
  *response = load;
  return grpc::Status::OK;
}

grpc::Status FakeAdmin::Drain(grpc::ServerContext*, const v1::DrainRequest*, v1::DrainResponse*) {
  PassScripts();
  const MutexLock lock(&mutex_);
  ++drains_;
  return grpc::Status::OK;
}

FakeServer::FakeServer() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&inference);
  builder.RegisterService(&adapters);
  builder.RegisterService(&admin);
  server_ = builder.BuildAndStart();
  CHORUS_CHECK(server_ != nullptr);
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeServer::~FakeServer() { server_->Shutdown(std::chrono::system_clock::now()); }

}  // namespace chorus::cli
