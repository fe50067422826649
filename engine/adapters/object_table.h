// ObjectTable: who still needs which object of the store. An object that nobody refers to any more
// is garbage until the store's background thread collects it, or until somebody wants it again.
#ifndef CHORUS_ENGINE_ADAPTERS_OBJECT_TABLE_H_
#define CHORUS_ENGINE_ADAPTERS_OBJECT_TABLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "engine/adapters/manifest.h"
#include "kernels/mutex.h"

namespace chorus::engine {

class ObjectTable;

// Keeps one object from being collected. Dropping it takes a short lock and touches no file, so
// that any thread may. The table outlives it.
class ObjectRef {
 public:
  ObjectRef() = default;
  ObjectRef(ObjectRef&& other) noexcept { *this = std::move(other); }
  ObjectRef& operator=(ObjectRef&& other) noexcept {
    std::swap(table_, other.table_);
    std::swap(name_, other.name_);
    return *this;
  }
  ~ObjectRef();

  const ObjectName& name() const { return name_; }

 private:
  friend class ObjectTable;
  ObjectRef(ObjectTable* table, ObjectName name) : table_(table), name_(std::move(name)) {}

  ObjectTable* table_ = nullptr;
  ObjectName name_;
};

// Thread-safe.
class ObjectTable {
 public:
  // Waits while this very object is being collected.
  ObjectRef Add(const ObjectName& name);

  // Calls `unlink` for each object that is garbage, outside of the lock; those for which it fails
  // stay garbage. Returns how many went. One thread at a time.
  int64_t Collect(const std::function<absl::Status(const std::string& sha256)>& unlink);

  // The first object after `sha256` in order of names that somebody refers to.
  std::optional<ObjectName> NextAfter(const std::string& sha256) const;
  bool IsReferenced(const std::string& sha256) const;
  int64_t num_objects() const;

 private:
  friend class ObjectRef;
  struct Entry {
    uint64_t bytes = 0;
    int64_t refs = 0;
  };

  void Drop(const std::string& sha256);

  mutable kernels::Mutex mutex_;
  kernels::CondVar collected_;
  std::map<std::string, Entry> entries_ CHORUS_GUARDED_BY(mutex_);
  std::set<std::string> garbage_ CHORUS_GUARDED_BY(mutex_);
  std::string collecting_ CHORUS_GUARDED_BY(mutex_);  // empty: none
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_OBJECT_TABLE_H_
