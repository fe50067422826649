// SimtSpan: memory as kernel bodies see it on the SIMT executor, every access checked.
#ifndef CHORUS_TESTS_SIMT_SIMT_SPAN_H_
#define CHORUS_TESTS_SIMT_SIMT_SPAN_H_

#include <cstring>
#include <type_traits>

#include "kernels/device/device_code.h"
#include "tests/simt/simt_block.h"

#define CHORUS_SITE int line = __builtin_LINE(), const char *file = __builtin_FILE()

namespace chorus::kernels {

// `count` elements of a buffer, or of shared memory if `region` is null.
template <class T>
class SimtSpan {
 public:
  using Value = std::remove_const_t<T>;
  static_assert(std::is_trivially_copyable_v<Value>);

  SimtSpan(SimtBlock& block, SimtRegion* region, T* data, int64_t count)
      : block_(&block), region_(region), data_(data), count_(count) {}

  Value Load(int64_t i, CHORUS_SITE) const {
    Value value;
    Read(value, i, {file, line});
    return value;
  }
  template <class V>
  void Store(int64_t i, const V& value, CHORUS_SITE) const {
    Write(static_cast<Value>(value), i, {file, line});
  }
  template <class Vector>
  void LoadTo(Vector& to, int64_t i, CHORUS_SITE) const {
    Read(to, i, {file, line});
  }
  template <class Vector>
  void StoreFrom(const Vector& from, int64_t i, CHORUS_SITE) const {
    Write(from, i, {file, line});
  }
  void StreamTo(U4& to, int64_t i, CHORUS_SITE) const {
    if (region_ == nullptr) {
      block_->Fail("StreamTo of shared memory at %s:%d", FileName(file), line);
    }
    std::memcpy(&to, At(i, 16, 16, Access::kStream, {file, line}), 16);
  }

 private:
  friend class SimtArch;
  template <class>
  friend class SimtRemoteSpan;

  // The address of `bytes` bytes at element i.
  void* Locate(int64_t i, int bytes, size_t alignment, Place place) const {
    if (i < 0 || i > count_ || (count_ - i) * static_cast<int64_t>(sizeof(T)) < bytes) {
      block_->FailIndex(region_, i, count_, place);
    }
    if (reinterpret_cast<uintptr_t>(data_ + i) % alignment != 0) {
      block_->FailAlignment(region_, i, bytes, place);
    }
    return const_cast<Value*>(data_ + i);
  }
  void Touch(Access access, int64_t i, int bytes, Place place) const {
    block_->Touch(region_, access, data_ + i, bytes, place);
  }
  void* At(int64_t i, int bytes, size_t alignment, Access access, Place place) const {
    void* const at = Locate(i, bytes, alignment, place);
    Touch(access, i, bytes, place);
    return at;
  }
  template <class V>
  void Read(V& to, int64_t i, Place place) const {
    std::memcpy(static_cast<void*>(&to), At(i, sizeof(V), alignof(V), Access::kRead, place),
                sizeof(V));
  }
  template <class V>
  void Write(const V& from, int64_t i, Place place) const {
    static_assert(!std::is_const_v<T>, "a store to a span of constants");
    std::memcpy(static_cast<void*>(At(i, sizeof(V), alignof(V), Access::kWrite, place)), &from,
                sizeof(V));
  }

  SimtBlock* block_;
  SimtRegion* region_;
  T* data_;
  int64_t count_;
};

// What lies where `own` does in shared memory, in that of another block of the cluster.
template <class T>
class SimtRemoteSpan {
 public:
  SimtRemoteSpan(SimtBlock& block, const SimtSpan<T>& own, int rank)
      : block_(&block), own_(own), rank_(rank) {}

  void LoadTo(F4& to, int64_t i, CHORUS_SITE) const {
    const void* const own = own_.Locate(i, sizeof(F4), alignof(F4), {file, line});
    std::memcpy(&to, block_->Remote(rank_, own, sizeof(F4), {file, line}), sizeof(F4));
  }

 private:
  SimtBlock* block_;
  SimtSpan<T> own_;
  int rank_;
};

}  // namespace chorus::kernels

#undef CHORUS_SITE

#endif  // CHORUS_TESTS_SIMT_SIMT_SPAN_H_
