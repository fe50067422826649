// A page pool for kernel tests: every byte is NaN until a test writes it.
#ifndef CHORUS_TESTS_SUPPORT_TEST_POOL_H_
#define CHORUS_TESTS_SUPPORT_TEST_POOL_H_

#include <vector>

#include "kernels/device/pool_view.h"
#include "tests/support/element.h"

namespace chorus::test {

class TestPool {
 public:
  TestPool(kernels::DType dtype, int32_t kv_heads, int32_t head_dim, int64_t num_ids,
           int32_t num_slabs = 1, kernels::BTileOrder b_tiles = kernels::BTileOrder::kRankRows)
      : view_{nullptr, num_ids, num_slabs, kv_heads, head_dim, dtype, b_tiles},
        bytes_(static_cast<size_t>(view_.total_bytes() + 64), std::byte{0xff}) {
    const auto address = reinterpret_cast<uintptr_t>(bytes_.data());
    view_.base = bytes_.data() + (64 - address % 64) % 64;
  }
  TestPool(const TestPool&) = delete;
  TestPool& operator=(const TestPool&) = delete;

  const kernels::PoolView& view() const { return view_; }

  void Set(int64_t cell, int64_t element, float value) {
    StoreElement(view_.dtype, view_.CellAddress(cell), element, value);
  }

  double Get(int64_t cell, int64_t element) const {
    return LoadElement(view_.dtype, view_.CellAddress(cell), element);
  }

 private:
  kernels::PoolView view_;
  std::vector<std::byte> bytes_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_TEST_POOL_H_
