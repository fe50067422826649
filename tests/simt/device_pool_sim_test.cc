// The pool's memory on a device: what is left, what was asked for, what is too small.
#include "engine/model/device_pool.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simt/sim_device.h"

namespace chorus::test {
namespace {

using engine::DevicePool;
using kernels::SimDevice;

constexpr int64_t kTotal = 1 << 20;
constexpr int64_t kPage = 3 * 2 * 2 * 16 * 8 * 2;  // slabs, K and V, heads, tokens, head_dim, bf16

class DevicePoolTest : public testing::Test {
 protected:
  DevicePoolTest() { options_.info.total_bytes = kTotal; }

  SimDevice& device() {
    if (device_ == nullptr) device_ = std::make_unique<SimDevice>(options_);
    return *device_;
  }

  const kernels::PoolView geometry_{.num_slabs = 3,
                                    .kv_heads = 2,
                                    .head_dim = 8,
                                    .dtype = kernels::DType::kBf16,
                                    .b_tiles = kernels::BTileOrder::kFragments};
  kernels::SimOptions options_;
  std::unique_ptr<SimDevice> device_;
};

TEST_F(DevicePoolTest, TakesWhatIsFreeButForTheReserve) {
  const auto other = device().Allocate(300'000);
  ASSERT_TRUE(other.ok());
  const int64_t free = *device().FreeBytes();
  ASSERT_LE(free, kTotal - 300'000);
  const auto pool = DevicePool::Allocate(&device(), geometry_, {.reserve_bytes = 50'000});
  ASSERT_TRUE(pool.ok()) << pool.status();
  EXPECT_EQ(pool->view().num_ids, (free - 50'000) / kPage);
  EXPECT_EQ(pool->view().num_slabs, 3);
  EXPECT_EQ(pool->view().b_tiles, kernels::BTileOrder::kFragments);
  EXPECT_NE(pool->view().base, nullptr);
  EXPECT_GE(*device().FreeBytes(), 50'000);
  EXPECT_LT(*device().FreeBytes(), 50'000 + 2 * kPage);
}

TEST_F(DevicePoolTest, TakesWhatWasAskedForWhateverTheReserve) {
  const auto pool =
      DevicePool::Allocate(&device(), geometry_, {.bytes = 7 * kPage + 5, .reserve_bytes = kTotal});
  ASSERT_TRUE(pool.ok()) << pool.status();
  EXPECT_EQ(pool->view().num_ids, 7);
}

TEST_F(DevicePoolTest, SaysWhatIsNeededAndWhatThereIs) {
  const auto left =
      DevicePool::Allocate(&device(), geometry_, {.reserve_bytes = kTotal - 5000, .min_pages = 2});
  EXPECT_EQ(left.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(left.status().message(),
            "pool: expected at least 6144 bytes (2 x 3072, a page in all layers), got 5000: "
            "free are 1048576 of 1048576, of which 1043576 are kept in reserve");
  const auto none = DevicePool::Allocate(&device(), geometry_, {.reserve_bytes = 2 * kTotal});
  EXPECT_THAT(none.status().message(), testing::HasSubstr("got 0: free are"));
  const auto small = DevicePool::Allocate(&device(), geometry_, {.bytes = 3071});
  EXPECT_EQ(small.status().message(),
            "pool: expected at least 3072 bytes (1 x 3072, a page in all layers), got 3071");
  const auto large = DevicePool::Allocate(&device(), geometry_, {.bytes = 2 * kTotal});
  EXPECT_EQ(large.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*device().FreeBytes(), kTotal);
}

}  // namespace
}  // namespace chorus::test
