#include "engine/adapters/stored_upload.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/adapters/peft_reader.h"
#include "engine/adapters/sha256.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

absl::Status TooMuch(std::string what, uint64_t announced) {
  return MakeRefusal(absl::StatusCode::kOutOfRange,
                     {Reason::kSizeMismatch, std::move(what),
                      absl::StrCat(announced, " bytes as announced"), "more"});
}

absl::Status CheckSha256(std::string what, const std::string& expected, const std::string& got) {
  if (expected.empty() || expected == got) return absl::OkStatus();
  return Refuse(Reason::kDigestMismatch, std::move(what), absl::StrCat("SHA-256 ", expected), got);
}

}  // namespace

StoredUpload::~StoredUpload() {
  tensors_.reset();
  catalog_->ReleaseUpload(request_);
}

absl::Status StoredUpload::Stage() {
  CHORUS_ASSIGN_OR_RETURN(tensors_, catalog_->versions_->store().Stage(request_.tensor_bytes));
  return absl::OkStatus();
}

std::string StoredUpload::Label() const {
  return absl::StrCat("upload of \"", request_.name, "\"");
}

absl::Status StoredUpload::Fail(absl::Status status) {
  if (failed_.ok()) failed_ = status;
  tensors_.reset();
  return status;
}

absl::Status StoredUpload::AppendConfig(std::string_view bytes) {
  CHORUS_RETURN_IF_ERROR(failed_);
  if (tensors_->bytes() > 0) {
    return Fail(Refuse(Reason::kUploadOutOfOrder, Label(), "the config before the tensors",
                       "the config after them"));
  }
  if (bytes.size() > request_.config_bytes - config_.size()) {
    return Fail(TooMuch(Label() + ", config", request_.config_bytes));
  }
  config_.append(bytes);
  return absl::OkStatus();
}

absl::Status StoredUpload::AppendTensors(std::string_view bytes) {
  CHORUS_RETURN_IF_ERROR(failed_);
  if (config_.size() != request_.config_bytes) {
    return Fail(Refuse(Reason::kUploadOutOfOrder, Label(),
                       absl::StrCat(request_.config_bytes, " bytes of config before the tensors"),
                       absl::StrCat(config_.size())));
  }
  if (bytes.size() > request_.tensor_bytes - tensors_->bytes()) {
    return Fail(TooMuch(Label() + ", tensors", request_.tensor_bytes));
  }
  const absl::Status appended = tensors_->Append(bytes);
  if (appended.ok()) return appended;
  if (!absl::IsResourceExhausted(appended)) {
    return Fail(absl::UnavailableError(absl::StrCat("adapter store: ", appended.message())));
  }
  return Fail(MakeRefusal(absl::StatusCode::kResourceExhausted,
                          {Reason::kStoreFull, "adapter store", "room for the tensors",
                           std::string(appended.message())}));
}

absl::StatusOr<AdapterInfo> StoredUpload::Commit() {
  CHORUS_RETURN_IF_ERROR(failed_);
  absl::StatusOr<AdapterInfo> info = CheckAndStore();
  Fail(info.ok() ? absl::FailedPreconditionError(Label() + ": expected one commit, got another")
                 : info.status())
      .IgnoreError();
  return info;
}

absl::Status StoredUpload::CheckTransport() {
  if (config_.size() != request_.config_bytes || tensors_->bytes() != request_.tensor_bytes) {
    return Refuse(Reason::kSizeMismatch, Label(),
                  absl::StrCat(request_.config_bytes, " bytes of config and ",
                               request_.tensor_bytes, " of tensors"),
                  absl::StrCat(config_.size(), " and ", tensors_->bytes()));
  }
  CHORUS_RETURN_IF_ERROR(
      CheckSha256(Label() + ", config", request_.config_sha256, Sha256Hex(config_)));
  return CheckSha256(Label() + ", tensors", request_.tensor_sha256, tensors_->Finish());
}

absl::StatusOr<AdapterInfo> StoredUpload::CheckAndStore() {
  CHORUS_RETURN_IF_ERROR(CheckTransport());
  VersionStore& versions = *catalog_->versions_;
  // The bytes are private: staged under a name that only we know, and nobody writes them any more.
  CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> tensors, tensors_->OpenForReading());
  CHORUS_ASSIGN_OR_RETURN(AdapterSpec spec,
                          ReadPeftAdapter(config_, *tensors, versions.images().target().model));
  if (request_.digest.has_value() && *request_.digest != spec.digest) {
    return Refuse(Reason::kDigestMismatch, Label(), absl::StrCat("digest ", request_.digest->Hex()),
                  spec.digest.Hex());
  }
  CHORUS_ASSIGN_OR_RETURN(std::optional<AdapterInfo> retry,
                          catalog_->FindRetry(request_, spec.digest));
  if (retry.has_value()) return *std::move(retry);

  const ObjectRef image = versions.images().Use(spec.digest);
  CHORUS_RETURN_IF_ERROR(versions.images().Write(spec, *tensors, &spec.warnings));
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<StagedFile> config,
                          versions.store().Stage(config_.size()));
  if (const absl::Status appended = config->Append(config_); !appended.ok()) {
    return absl::UnavailableError(absl::StrCat("adapter store: ", appended.message()));
  }
  CHORUS_ASSIGN_OR_RETURN(const ObjectRef kept_tensors, versions.store().Keep(std::move(tensors_)));
  CHORUS_ASSIGN_OR_RETURN(const ObjectRef kept_config, versions.store().Keep(std::move(config)));
  return catalog_->CommitVersion(request_, spec, kept_config.name(), kept_tensors.name());
}

}  // namespace chorus::engine
