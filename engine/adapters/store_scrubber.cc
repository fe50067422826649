#include "engine/adapters/store_scrubber.h"

#include <algorithm>
#include <utility>

namespace chorus::engine {
namespace {

constexpr size_t kSlice = size_t{1} << 20;
constexpr absl::Duration kPass = absl::Hours(7 * 24);

}  // namespace

StoreScrubber::StoreScrubber(const DirectoryStore* store, double bytes_per_second,
                             const Clock* clock)
    : store_(store),
      bytes_per_second_(bytes_per_second),
      clock_(clock),
      next_step_(clock->Now()),
      pass_began_(next_step_) {}

StoreScrubber::Step StoreScrubber::Run() {
  if (bytes_per_second_ <= 0.0) return {absl::InfiniteDuration()};
  const absl::Time now = clock_->Now();
  if (now < next_step_) return {next_step_ - now};
  if (bytes_ == nullptr) {
    const std::optional<ObjectName> next = store_->objects().NextAfter(at_);
    if (!next.has_value()) {  // the pass is over
      ++num_passes_;
      at_.clear();
      next_step_ = std::max(now, pass_began_ + kPass);
      pass_began_ = next_step_;
      return {next_step_ - now};
    }
    at_ = next->sha256;
    // Else the page cache would answer for the disk.
    store_->files()->DropCache(ObjectPath(at_)).IgnoreError();
    auto opened = store_->OpenObject(*next);
    if (!opened.ok()) return {absl::ZeroDuration(), EndObject(!absl::IsDataLoss(opened.status()))};
    bytes_ = *std::move(opened);
    offset_ = 0;
    hash_.emplace();
  }
  slice_.resize(std::min<uint64_t>(kSlice, bytes_->size() - offset_));
  if (const absl::Status read = bytes_->Read(offset_, slice_); !read.ok()) {
    return {absl::ZeroDuration(), EndObject(false)};
  }
  hash_->Add(slice_);
  offset_ += slice_.size();
  next_step_ = now + absl::Seconds(static_cast<double>(slice_.size()) / bytes_per_second_);
  Step step{next_step_ - now, std::nullopt};
  if (offset_ == bytes_->size()) step.damaged = EndObject(hash_->FinishHex() == at_);
  return step;
}

std::optional<std::string> StoreScrubber::EndObject(bool whole) {
  bytes_.reset();
  hash_.reset();
  // An object that was deleted meanwhile is nobody's loss.
  if (whole || !store_->objects().IsReferenced(at_)) return std::nullopt;
  return at_;
}

}  // namespace chorus::engine
