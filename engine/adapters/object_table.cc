#include "engine/adapters/object_table.h"

#include "kernels/check.h"

namespace chorus::engine {

using kernels::MutexLock;

ObjectRef::~ObjectRef() {
  if (table_ != nullptr) table_->Drop(name_.sha256);
}

ObjectRef ObjectTable::Add(const ObjectName& name) {
  MutexLock lock(&mutex_);
  while (collecting_ == name.sha256) collected_.Wait(&mutex_);
  Entry& entry = entries_[name.sha256];
  entry.bytes = name.bytes;
  ++entry.refs;
  garbage_.erase(name.sha256);
  return ObjectRef(this, name);
}

void ObjectTable::Drop(const std::string& sha256) {
  MutexLock lock(&mutex_);
  const auto found = entries_.find(sha256);
  CHORUS_CHECK(found != entries_.end());
  if (--found->second.refs > 0) return;
  entries_.erase(found);
  garbage_.insert(sha256);
}

int64_t ObjectTable::Collect(const std::function<absl::Status(const std::string& sha256)>& unlink) {
  int64_t num_collected = 0;
  std::string at;  // objects that fail are passed by, not tried for ever
  while (true) {
    {
      MutexLock lock(&mutex_);
      const auto next = garbage_.upper_bound(at);
      if (next == garbage_.end()) return num_collected;
      at = *next;
      garbage_.erase(next);
      collecting_ = at;
    }
    const absl::Status status = unlink(at);
    MutexLock lock(&mutex_);
    collecting_.clear();
    collected_.NotifyAll();
    if (status.ok()) {
      ++num_collected;
    } else {
      garbage_.insert(at);
    }
  }
}

std::optional<ObjectName> ObjectTable::NextAfter(const std::string& sha256) const {
  MutexLock lock(&mutex_);
  const auto next = entries_.upper_bound(sha256);
  if (next == entries_.end()) return std::nullopt;
  return ObjectName{next->first, next->second.bytes};
}

bool ObjectTable::IsReferenced(const std::string& sha256) const {
  MutexLock lock(&mutex_);
  return entries_.contains(sha256);
}

int64_t ObjectTable::num_objects() const {
  MutexLock lock(&mutex_);
  return static_cast<int64_t>(entries_.size());
}

}  // namespace chorus::engine
