// The part of StoredCatalog that admits uploads: what a request may announce, if_version, quotas.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/adapters/sha256.h"
#include "engine/adapters/store_names.h"
#include "engine/adapters/stored_catalog.h"
#include "engine/adapters/stored_upload.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::MutexLock;

// A hint: an upload takes about as long.
constexpr int64_t kRetryWhenBusy = 1000;

absl::Status Exhausted(Reason reason, std::string object, std::string expected, std::string got,
                       int64_t retry_after_ms = 0) {
  return MakeRefusal(
      absl::StatusCode::kResourceExhausted,
      {reason, std::move(object), std::move(expected), std::move(got), retry_after_ms});
}

absl::Status CheckSize(const std::string& what, uint64_t most, uint64_t bytes) {
  if (bytes >= 1 && bytes <= most) return absl::OkStatus();
  return Refuse(Reason::kAdapterTooLarge, what, absl::StrCat("1 to ", most, " bytes"),
                absl::StrCat(bytes));
}

absl::Status CheckHash(const std::string& what, const std::string& hash) {
  if (hash.empty() || IsSha256Hex(hash)) return absl::OkStatus();
  return Refuse(Reason::kDigestMismatch, what, "64 lower-case hexadecimal digits", Quoted(hash));
}

// Whether an upload may turn out to be what `current` already is.
bool MayBeRetry(const UploadRequest& request, const Manifest& current) {
  if (request.digest.has_value()) return *request.digest == current.digest;
  return (request.config_sha256.empty() || request.config_sha256 == current.config.sha256) &&
         (request.tensor_sha256.empty() || request.tensor_sha256 == current.tensors.sha256) &&
         request.config_bytes == current.config.bytes &&
         request.tensor_bytes == current.tensors.bytes;
}

// `current` 0: there is none.
absl::Status CheckIfVersion(const UploadRequest& request, int64_t current) {
  if (!request.if_version.has_value() || *request.if_version == current) return absl::OkStatus();
  const std::string object = absl::StrCat("adapter ", Quoted(request.name));
  const std::string got = current == 0 ? "no such adapter" : absl::StrCat("version ", current);
  if (*request.if_version == 0) {
    return MakeRefusal(absl::StatusCode::kAlreadyExists,
                       {Reason::kAlreadyExists, object, "no such adapter", got});
  }
  return MakeRefusal(
      absl::StatusCode::kAborted,
      {Reason::kVersionMismatch, object, absl::StrCat("version ", *request.if_version), got});
}

}  // namespace

absl::Status StoredCatalog::CheckRequest(const UploadRequest& request) const {
  if (!IsValidName(request.tenant)) {
    return Refuse(Reason::kNameInvalid, "tenant",
                  "1 to 128 of A-Z a-z 0-9 . _ -, a letter or digit first", Quoted(request.tenant));
  }
  if (!IsValidName(request.name)) {
    return Refuse(Reason::kNameInvalid, "adapter name",
                  "1 to 128 of A-Z a-z 0-9 . _ -, a letter or digit first", Quoted(request.name));
  }
  if (std::ranges::find(options_.reserved_names, request.name) != options_.reserved_names.end()) {
    return Refuse(Reason::kNameInvalid, "adapter name", "a name that is not reserved",
                  Quoted(request.name));
  }
  if (request.if_version.has_value() && *request.if_version < 0) {
    return Refuse(Reason::kValueOutOfRange, "if_version", "0 or a version",
                  absl::StrCat(*request.if_version));
  }
  const std::string label = absl::StrCat("upload of ", Quoted(request.name));
  CHORUS_RETURN_IF_ERROR(
      CheckSize(label + ", config", options_.limits.max_config_bytes, request.config_bytes));
  CHORUS_RETURN_IF_ERROR(
      CheckSize(label + ", tensors", options_.limits.max_tensor_bytes, request.tensor_bytes));
  CHORUS_RETURN_IF_ERROR(CheckHash(label + ", config_sha256", request.config_sha256));
  return CheckHash(label + ", tensor_sha256", request.tensor_sha256);
}

absl::Status StoredCatalog::CheckQuota(const UploadRequest& request) const {
  const auto found = tenants_.find(request.tenant);
  if (found == tenants_.end()) return absl::OkStatus();
  const Tenant& tenant = found->second;
  const Entry* const current = FindEntry(request.tenant, request.name);
  const uint64_t freed =
      current == nullptr ? 0 : current->manifest.config.bytes + current->manifest.tensors.bytes;
  const uint64_t wanted =
      tenant.bytes - freed + tenant.upload_bytes;  // the request's own among the latter
  const std::string label = absl::StrCat("tenant ", Quoted(request.tenant));
  if (wanted > options_.limits.max_bytes_per_tenant) {
    return Exhausted(
        Reason::kQuotaExceeded, label,
        absl::StrCat("at most ", options_.limits.max_bytes_per_tenant, " stored bytes"),
        absl::StrCat(wanted));
  }
  auto count = static_cast<int64_t>(tenant.names.size());
  for (auto name = tenant.upload_names.begin(); name != tenant.upload_names.end();
       name = tenant.upload_names.upper_bound(*name)) {
    if (!tenant.names.contains(*name)) ++count;
  }
  if (count > options_.limits.max_adapters_per_tenant) {
    return Exhausted(Reason::kQuotaExceeded, label,
                     absl::StrCat("at most ", options_.limits.max_adapters_per_tenant, " adapters"),
                     absl::StrCat(count));
  }
  return absl::OkStatus();
}

absl::Status StoredCatalog::ReserveUpload(const UploadRequest& request) {
  MutexLock lock(&mutex_);
  const Entry* const current = FindEntry(request.tenant, request.name);
  if (current == nullptr || !MayBeRetry(request, current->manifest)) {
    CHORUS_RETURN_IF_ERROR(
        CheckIfVersion(request, current == nullptr ? 0 : current->manifest.version));
  }
  Tenant& tenant = tenants_[request.tenant];
  if (num_uploads_ >= options_.limits.max_uploads) {
    return Exhausted(Reason::kTooManyUploads, "uploads",
                     absl::StrCat("at most ", options_.limits.max_uploads, " at a time"), "",
                     kRetryWhenBusy);
  }
  if (static_cast<int>(tenant.upload_names.size()) >= options_.limits.max_uploads_per_tenant) {
    return Exhausted(Reason::kTooManyUploads,
                     absl::StrCat("uploads of tenant ", Quoted(request.tenant)),
                     absl::StrCat("at most ", options_.limits.max_uploads_per_tenant, " at a time"),
                     "", kRetryWhenBusy);
  }
  ++num_uploads_;
  tenant.upload_bytes += request.config_bytes + request.tensor_bytes;
  tenant.upload_names.insert(request.name);
  const absl::Status within = CheckQuota(request);
  if (!within.ok()) Unreserve(request);
  return within;
}

void StoredCatalog::ReleaseUpload(const UploadRequest& request) {
  MutexLock lock(&mutex_);
  Unreserve(request);
}

void StoredCatalog::Unreserve(const UploadRequest& request) {
  --num_uploads_;
  Tenant& tenant = tenants_[request.tenant];
  tenant.upload_bytes -= request.config_bytes + request.tensor_bytes;
  tenant.upload_names.erase(tenant.upload_names.find(request.name));
}

absl::StatusOr<std::unique_ptr<Upload>> StoredCatalog::BeginUpload(const UploadRequest& request) {
  CHORUS_RETURN_IF_ERROR(CheckRequest(request));
  CHORUS_RETURN_IF_ERROR(Writable());
  CHORUS_RETURN_IF_ERROR(ReserveUpload(request));
  auto upload = std::make_unique<StoredUpload>(this, request);
  CHORUS_RETURN_IF_ERROR(upload->Stage());
  return upload;
}

absl::StatusOr<std::optional<AdapterInfo>> StoredCatalog::FindRetry(
    const UploadRequest& request, const AdapterDigest& digest) const {
  MutexLock lock(&mutex_);
  const Entry* const current = FindEntry(request.tenant, request.name);
  if (current != nullptr && current->manifest.digest == digest) {
    if (current->version->damaged()) return std::optional<AdapterInfo>();
    return std::optional<AdapterInfo>(InfoOf(*current));
  }
  CHORUS_RETURN_IF_ERROR(
      CheckIfVersion(request, current == nullptr ? 0 : current->manifest.version));
  return std::optional<AdapterInfo>();
}

}  // namespace chorus::engine
