#include "server/grpc/upload_reactor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "grpcpp/server_context.h"
#include "kernels/status_macros.h"
#include "server/grpc/adapter_messages.h"
#include "server/log/log.h"

namespace chorus::server {
namespace {

using engine::Reason;

constexpr size_t kMaxChunkBytes = size_t{1} << 20;

absl::Status OutOfOrder(std::string expected, std::string got) {
  return engine::Refuse(Reason::kUploadOutOfOrder, "upload", std::move(expected), std::move(got));
}

UploadResult ResultOf(const absl::Status& status) {
  if (status.ok()) return UploadResult::kStored;
  if (absl::IsCancelled(status)) return UploadResult::kAbandoned;
  return absl::IsUnavailable(status) || absl::IsInternal(status) || absl::IsDataLoss(status)
             ? UploadResult::kFailed
             : UploadResult::kRefused;
}

}  // namespace

void UploadTable::Add(UploadReactor* reactor) {
  kernels::MutexLock lock(&mutex_);
  reactors_.insert(reactor);
}

void UploadTable::Remove(UploadReactor* reactor) {
  kernels::MutexLock lock(&mutex_);
  reactors_.erase(reactor);
}

void UploadTable::CutStalled(int limit) {
  kernels::MutexLock lock(&mutex_);  // so that no reactor goes away meanwhile
  for (UploadReactor* const reactor : reactors_) {
    if (reactor->waiting_ && ++reactor->sweeps_ > limit) reactor->context_->TryCancel();
  }
}

UploadReactor::UploadReactor(const Front* front, UploadTable* table,
                             grpc::CallbackServerContext* context, grpc::ByteBuffer* out)
    : front_(front),
      table_(table),
      context_(context),
      out_(out),
      arrival_(front->clock->Now()),
      principal_(front->PrincipalOf()) {
  table_->Add(this);
  Read();
}

void UploadReactor::OnDone() {
  table_->Remove(this);
  delete this;
}

void UploadReactor::Read() {
  sweeps_ = 0;
  waiting_ = true;
  StartRead(&in_);
}

void UploadReactor::OnReadDone(bool ok) {
  waiting_ = false;
  front_->files->Post([this, ok] { ok ? HandleMessage() : HandleEnd(); });
}

void UploadReactor::HandleMessage() {
  v1::UploadRequest request;
  absl::Status status = ParseMessage(in_, &request);
  if (status.ok()) status = request.has_begin() ? Begin(request.begin()) : Append(request);
  if (status.ok()) {
    Read();
  } else {
    End(status);
  }
}

// The client has sent all it wanted, or is gone.
void UploadReactor::HandleEnd() {
  if (context_->IsCancelled()) {
    End(absl::CancelledError("upload: the client is gone"));
    return;
  }
  absl::StatusOr<engine::AdapterInfo> stored = Commit();
  if (stored.ok()) {
    v1::UploadResponse response;
    *response.mutable_adapter() =
        ToProto(*stored, front_->engine->StateOf(stored->tenant, stored->digest));
    *out_ = SerializeMessage(response);
  }
  End(stored.status());
}

absl::Status UploadReactor::Begin(const v1::UploadBegin& begin) {
  if (upload_ != nullptr) return OutOfOrder("one begin", "a second one");
  if (*front_->draining) {
    return engine::MakeRefusal(absl::StatusCode::kUnavailable,
                               {Reason::kDraining, "server", "one that is not draining", ""});
  }
  engine::UploadRequest request;
  request.tenant = principal_.tenant;
  request.name = begin.name();
  if (begin.has_if_version()) request.if_version = begin.if_version();
  request.config_bytes = begin.config_bytes();
  request.tensor_bytes = begin.tensor_bytes();
  request.config_sha256 = begin.config_sha256();
  request.tensor_sha256 = begin.tensor_sha256();
  if (!begin.digest().empty()) {
    const absl::StatusOr<engine::AdapterDigest> digest =
        engine::AdapterDigest::Parse(begin.digest());
    if (!digest.ok()) {
      return engine::Refuse(Reason::kDigestMismatch, "begin.digest",
                            "\"sha256:\" and 64 hexadecimal digits",
                            engine::Quoted(begin.digest()));
    }
    request.digest = *digest;
  }
  name_ = begin.name();
  CHORUS_ASSIGN_OR_RETURN(upload_, front_->catalog->BeginUpload(request));
  return absl::OkStatus();
}

absl::Status UploadReactor::Append(const v1::UploadRequest& request) {
  if (upload_ == nullptr) return OutOfOrder("begin first", "bytes");
  const bool config = request.part_case() == v1::UploadRequest::kConfig;
  if (!config && request.part_case() != v1::UploadRequest::kTensors) {
    return OutOfOrder("begin, config or tensors", "an empty message");
  }
  const std::string& bytes = config ? request.config() : request.tensors();
  if (bytes.size() > kMaxChunkBytes) {
    return engine::Refuse(Reason::kSizeMismatch, config ? "config" : "tensors",
                          absl::StrCat("at most ", kMaxChunkBytes, " bytes a message"),
                          absl::StrCat(bytes.size()));
  }
  if (config && tensors_began_) return OutOfOrder("the config before the tensors", "config");
  tensors_began_ = !config;
  bytes_ += static_cast<int64_t>(bytes.size());
  return config ? upload_->AppendConfig(bytes) : upload_->AppendTensors(bytes);
}

absl::StatusOr<engine::AdapterInfo> UploadReactor::Commit() {
  if (upload_ == nullptr) return OutOfOrder("begin first", "the end");
  const absl::StatusOr<engine::AdapterInfo> before = front_->catalog->Get(principal_.tenant, name_);
  CHORUS_ASSIGN_OR_RETURN(engine::AdapterInfo info, upload_->Commit());
  if (before.ok() && before->digest != info.digest) {
    front_->pins->Left(principal_.tenant, before->digest);
  }
  front_->pins->Uploaded(&info);
  return info;
}

void UploadReactor::End(const absl::Status& status) {
  upload_.reset();  // what is not committed leaves nothing behind
  front_->metrics->UploadEnded(ResultOf(status), bytes_, front_->clock->Now() - arrival_);
  LogInfo(status.ok() ? "adapter stored" : "upload refused",
          {{"tenant", principal_.tenant},
           {"adapter", name_},
           {"bytes", bytes_},
           {"status", absl::StatusCodeToString(status.code())},
           {"why", status.message()}});
  Finish(front_->Ended(Method::kUpload, status));
}

}  // namespace chorus::server
