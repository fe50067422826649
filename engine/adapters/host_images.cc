#include "engine/adapters/host_images.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/checked.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::MutexLock;

// How often somebody who waits for room asks whether he still should.
constexpr std::chrono::milliseconds kCancelPoll(10);

}  // namespace

HostImages::Image::~Image() {
  {
    MutexLock lock(&owner_->mutex_);
    owner_->free_.insert(owner_->free_.end(), chunks_.begin(), chunks_.end());
  }
  owner_->freed_.NotifyAll();
}

std::span<std::byte> HostImages::Image::At(int64_t offset, int64_t bytes) const {
  const int64_t chunk_bytes = owner_->chunk_bytes_;
  auto chunk = static_cast<size_t>(offset / chunk_bytes);
  const int64_t within = offset % chunk_bytes;
  CHORUS_CHECK(bytes > 0 && chunk < chunks_.size());
  std::byte* const begin = chunks_[chunk] + within;
  int64_t run = chunk_bytes - within;
  for (; run < bytes && chunk + 1 < chunks_.size() &&
         chunks_[chunk + 1] == chunks_[chunk] + chunk_bytes;
       ++chunk) {
    run += chunk_bytes;
  }
  return {begin, static_cast<size_t>(std::min(run, bytes))};
}

absl::StatusOr<std::unique_ptr<HostImages>> HostImages::Create(kernels::Device* device,
                                                               int64_t bytes, int64_t chunk_bytes) {
  CHORUS_ASSIGN_OR_RETURN(kernels::DeviceBuffer arena,
                          device->AllocatePinned(kernels::RoundUp(bytes, chunk_bytes)));
  return std::unique_ptr<HostImages>(new HostImages(std::move(arena), chunk_bytes));
}

HostImages::HostImages(kernels::DeviceBuffer arena, int64_t chunk_bytes)
    : arena_(std::move(arena)), chunk_bytes_(chunk_bytes) {
  // A stack: the first chunk lies on top, so that images of an empty arena are one run.
  for (int64_t at = arena_.bytes(); at > 0; at -= chunk_bytes_) {
    free_.push_back(arena_.data() + at - chunk_bytes_);
  }
}

HostImages::ImageRef HostImages::Find(const Key& key) {
  MutexLock lock(&mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found->second);
  return found->second->image;
}

absl::StatusOr<HostImages::ImageRef> HostImages::Make(int64_t bytes,
                                                      absl::FunctionRef<bool()> cancelled) {
  if (bytes > arena_.bytes()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("adapter image: ", bytes, " bytes, of ", arena_.bytes(),
                     " that the host keeps pinned for adapters (--adapter-host-bytes)"));
  }
  const auto wanted = static_cast<size_t>(kernels::CeilDiv(bytes, chunk_bytes_));
  MutexLock one(&making_);
  while (true) {
    ImageRef idle;  // gives its chunks back at the end of a round, when the mutex is free
    {
      MutexLock lock(&mutex_);
      if (free_.size() >= wanted) {
        std::vector<std::byte*> chunks(free_.end() - static_cast<std::ptrdiff_t>(wanted),
                                       free_.end());
        std::reverse(chunks.begin(), chunks.end());
        free_.resize(free_.size() - wanted);
        return ImageRef(new Image(this, std::move(chunks)));
      }
      idle = TakeIdle();
      if (idle == nullptr) freed_.WaitFor(&mutex_, kCancelPoll);
    }
    if (idle == nullptr && cancelled()) return absl::CancelledError("load cancelled");
  }
}

HostImages::ImageRef HostImages::TakeIdle() {
  for (auto kept = kept_.rbegin(); kept != kept_.rend(); ++kept) {
    if (kept->image.use_count() > 1) continue;
    ImageRef image = std::move(kept->image);
    index_.erase(kept->key);
    kept_.erase(std::next(kept).base());
    return image;
  }
  return nullptr;
}

void HostImages::Keep(const Key& key, ImageRef image) {
  Forget(key);
  MutexLock lock(&mutex_);
  kept_.push_front({key, std::move(image)});
  index_[key] = kept_.begin();
}

void HostImages::Forget(const Key& key) {
  ImageRef gone;  // goes when the mutex is free
  MutexLock lock(&mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  gone = std::move(found->second->image);
  kept_.erase(found->second);
  index_.erase(found);
}

}  // namespace chorus::engine
