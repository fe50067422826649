#include "engine/adapters/residency_board.h"

#include <utility>

namespace chorus::engine {

using kernels::MutexLock;

void ResidencyBoard::Update(ResidencyChanges changes) {
  MutexLock lock(&news_mutex_);
  for (const AdapterKey& key : changes.gone) news_[key].reset();
  for (AdapterResidency& one : changes.now) {
    const AdapterKey key(one.tenant, one.digest);
    news_[key] = std::move(one);
  }
}

void ResidencyBoard::TakeNews() const {
  News news;
  {
    MutexLock lock(&news_mutex_);
    news.swap(news_);
  }
  for (auto& [key, now] : news) {
    if (now.has_value()) {
      residents_.insert_or_assign(key, *std::move(now));
    } else {
      residents_.erase(key);
    }
  }
}

std::vector<AdapterResidency> ResidencyBoard::All() const {
  MutexLock lock(&mutex_);
  TakeNews();
  std::vector<AdapterResidency> all;
  all.reserve(residents_.size());
  for (const auto& [key, one] : residents_) all.push_back(one);
  return all;
}

ResidencyState ResidencyBoard::StateOf(const std::string& tenant,
                                       const AdapterDigest& digest) const {
  MutexLock lock(&mutex_);
  TakeNews();
  const auto found = residents_.find({tenant, digest});
  return found == residents_.end() ? ResidencyState::kDisk : found->second.state;
}

}  // namespace chorus::engine
