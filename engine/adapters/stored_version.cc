#include "engine/adapters/stored_version.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/adapters/peft_reader.h"
#include "engine/adapters/sha256.h"
#include "kernels/status_macros.h"

namespace chorus::engine {

using kernels::MutexLock;

void VersionStore::ReportEnd(AdapterInfo info) {
  MutexLock lock(&mutex_);
  reports_.ended.push_back(std::move(info));
  changed_.NotifyAll();
}

void VersionStore::ReportDamage(AdapterInfo info) {
  MutexLock lock(&mutex_);
  reports_.damaged.push_back(std::move(info));
  changed_.NotifyAll();
}

VersionStore::Reports VersionStore::TakeReports() {
  MutexLock lock(&mutex_);
  return std::exchange(reports_, {});
}

void VersionStore::WaitForReports(absl::Duration timeout) {
  MutexLock lock(&mutex_);
  if (interrupted_ || !reports_.ended.empty() || !reports_.damaged.empty()) return;
  changed_.WaitFor(&mutex_, absl::ToChronoNanoseconds(timeout));
}

void VersionStore::Interrupt() {
  MutexLock lock(&mutex_);
  interrupted_ = true;
  changed_.NotifyAll();
}

StoredVersion::StoredVersion(std::shared_ptr<VersionStore> store, AdapterInfo info,
                             ImageLayout layout, ObjectRef config, ObjectRef tensors,
                             ObjectRef image)
    : AdapterVersion(info.tenant, info.name, info.version, info.digest, std::move(layout),
                     info.invocation),
      store_(std::move(store)),
      info_(std::move(info)),
      config_(std::move(config)),
      tensors_(std::move(tensors)),
      image_(std::move(image)) {}

StoredVersion::~StoredVersion() {
  // Before the report, so that whoever acts on it finds the garbage.
  for (ObjectRef* ref : {&config_, &tensors_, &image_}) ObjectRef dropped = std::move(*ref);
  store_->ReportEnd(info_);
}

bool StoredVersion::UsesObject(const std::string& sha256) const {
  return config_.name().sha256 == sha256 || tensors_.name().sha256 == sha256;
}

absl::StatusOr<std::unique_ptr<ImageReader>> StoredVersion::OpenImage() const {
  if (absl::StatusOr<std::unique_ptr<ImageReader>> image = store_->images().Read(digest());
      image.ok()) {
    return image;
  }
  MutexLock lock(&rebuild_mutex_);
  if (absl::StatusOr<std::unique_ptr<ImageReader>> image = store_->images().Read(digest());
      image.ok()) {
    return image;
  }
  absl::StatusOr<std::unique_ptr<ImageReader>> image = Rebuild();
  if (absl::IsDataLoss(image.status()) && !damaged()) {
    SetDamaged();
    store_->ReportDamage(info_);
  }
  return image;
}

absl::StatusOr<std::unique_ptr<ByteSource>> StoredVersion::OpenVerified(
    const ObjectRef& object) const {
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<ByteSource> bytes,
                          store_->store().OpenObject(object.name()));
  CHORUS_ASSIGN_OR_RETURN(const std::string sha256, Sha256Hex(*bytes));
  if (sha256 != object.name().sha256) {
    return absl::DataLossError(
        absl::StrCat("stored object: expected SHA-256 ", object.name().sha256, ", got ", sha256));
  }
  return bytes;
}

absl::StatusOr<std::unique_ptr<ImageReader>> StoredVersion::Rebuild() const {
  CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> config, OpenVerified(config_));
  CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> tensors, OpenVerified(tensors_));
  std::string json(config->size(), '\0');
  CHORUS_RETURN_IF_ERROR(config->Read(0, std::as_writable_bytes(std::span(json))));
  ImageCache& images = store_->images();
  CHORUS_ASSIGN_OR_RETURN(const AdapterSpec spec,
                          ReadPeftAdapter(json, *tensors, images.target().model));
  if (spec.digest != digest()) {
    return absl::DataLossError(absl::StrCat("adapter \"", name(), "\": expected digest ",
                                            digest().Hex(), ", got ", spec.digest.Hex()));
  }
  CHORUS_RETURN_IF_ERROR(images.Write(spec, *tensors, nullptr));
  if (absl::StatusOr<std::unique_ptr<ImageReader>> image = images.Read(digest()); image.ok()) {
    return image;
  }
  return images.MakeInMemory(spec, *tensors);
}

}  // namespace chorus::engine
