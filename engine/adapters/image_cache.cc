#include "engine/adapters/image_cache.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/adapters/sha256.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::MutexLock;

// The image's bytes, owned.
class OwnedBytes : public ByteSource {
 public:
  explicit OwnedBytes(std::vector<std::byte> bytes)
      : bytes_(std::move(bytes)), source_(BorrowBytes(bytes_)) {}
  uint64_t size() const override { return bytes_.size(); }
  absl::Status Read(uint64_t offset, std::span<std::byte> out) const override {
    return source_->Read(offset, out);
  }

 private:
  const std::vector<std::byte> bytes_;
  const std::unique_ptr<ByteSource> source_;
};

std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

ImageCache::ImageCache(DirectoryStore* store, ImageTarget target)
    : store_(store),
      target_(std::move(target)),
      fingerprint_(ImageFingerprint(target_)),
      directory_(absl::StrCat(kImagesPath, "/", Sha256Hex(fingerprint_).substr(0, 32))) {}

absl::StatusOr<std::unique_ptr<ImageCache>> ImageCache::Open(DirectoryStore* store,
                                                             ImageTarget target,
                                                             const std::set<AdapterDigest>& live) {
  std::unique_ptr<ImageCache> cache(new ImageCache(store, std::move(target)));
  CHORUS_RETURN_IF_ERROR(cache->Sweep(live));
  return cache;
}

absl::Status ImageCache::Sweep(const std::set<AdapterDigest>& live) {
  FileSystem* const files = store_->files();
  CHORUS_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> targets, files->List(kImagesPath));
  for (const DirectoryEntry& target : targets) {
    const std::string directory = absl::StrCat(kImagesPath, "/", target.name);
    if (!target.is_directory) continue;
    CHORUS_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> images, files->List(directory));
    for (const DirectoryEntry& image : images) {
      const absl::StatusOr<AdapterDigest> digest = AdapterDigest::Parse(image.name);
      if (directory == directory_ && digest.ok() && live.contains(*digest)) continue;
      CHORUS_RETURN_IF_ERROR(files->Unlink(absl::StrCat(directory, "/", image.name)));
    }
    if (directory != directory_) CHORUS_RETURN_IF_ERROR(files->RemoveDirectory(directory));
  }
  const absl::Status made = files->MakeDirectory(directory_);
  return absl::IsAlreadyExists(made) ? absl::OkStatus() : made;
}

std::string ImageCache::PathOf(const AdapterDigest& digest) const {
  return absl::StrCat(directory_, "/", digest.Hex());
}

absl::Status ImageCache::Write(const AdapterSpec& spec, const ByteSource& tensors,
                               std::vector<std::string>* warnings) {
  auto staged = store_->Stage(0, /*hashed=*/false);
  const auto append = [&](std::span<const std::byte> bytes) {
    if (!staged.ok()) return absl::OkStatus();  // no room: go on for the checks alone
    if (const absl::Status wrote = (*staged)->Append(AsText(bytes)); !wrote.ok()) staged = wrote;
    return absl::OkStatus();
  };
  CHORUS_RETURN_IF_ERROR(WriteImage(spec, tensors, target_, append, warnings));
  if (!staged.ok() || !(*staged)->Close().ok()) return absl::OkStatus();
  if (!(*staged)->RenameTo(PathOf(spec.digest)).ok()) return absl::OkStatus();
  MutexLock lock(&mutex_);
  whole_.insert(spec.digest);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ImageReader>> ImageCache::Read(const AdapterDigest& digest) {
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<ByteSource> file, store_->files()->Open(PathOf(digest)));
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<ImageReader> reader,
                          ImageReader::Open(std::move(file), fingerprint_));
  if (reader->digest() != digest) return absl::DataLossError("adapter image: another adapter's");
  {
    MutexLock lock(&mutex_);
    if (whole_.contains(digest)) return reader;
  }
  CHORUS_RETURN_IF_ERROR(ReadThrough(*reader));
  MutexLock lock(&mutex_);
  whole_.insert(digest);
  return reader;
}

absl::Status ImageCache::ReadThrough(const ImageReader& reader) const {
  // A pool of our own, just large enough: reading into it checks every layer's CRC.
  kernels::PoolView pool = target_.geometry;
  pool.num_ids = std::max<int64_t>(reader.layout().num_ids, 1);
  std::vector<std::byte> cells(static_cast<size_t>(pool.total_bytes()));
  pool.base = cells.data();
  std::vector<int32_t> ids(static_cast<size_t>(pool.num_ids));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
  const std::vector<int32_t> order = CellsInFillOrder(ids, pool.num_ids * pool.num_slabs, pool);
  for (int layer = 0; layer < reader.num_layers(); ++layer) {
    CHORUS_RETURN_IF_ERROR(reader.ReadLayer(layer, order, pool));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ImageReader>> ImageCache::MakeInMemory(
    const AdapterSpec& spec, const ByteSource& tensors) const {
  std::vector<std::byte> image;
  const auto append = [&](std::span<const std::byte> bytes) {
    image.insert(image.end(), bytes.begin(), bytes.end());
    return absl::OkStatus();
  };
  CHORUS_RETURN_IF_ERROR(WriteImage(spec, tensors, target_, append, nullptr));
  return ImageReader::Open(std::make_unique<OwnedBytes>(std::move(image)), fingerprint_);
}

int64_t ImageCache::CollectGarbage() {
  return uses_.Collect([this](const std::string& digest) {
    {
      MutexLock lock(&mutex_);
      whole_.erase(*AdapterDigest::Parse(digest));
    }
    const absl::Status status = store_->files()->Unlink(absl::StrCat(directory_, "/", digest));
    return absl::IsNotFound(status) ? absl::OkStatus() : status;
  });
}

}  // namespace chorus::engine
