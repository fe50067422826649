// Pinned images under many threads at once. That their bytes reach a device is shown on the
// simulator (tests/simt/device_adapter_pages_sim_test.cc), which ThreadSanitizer cannot follow.
#include "engine/adapters/host_images.h"

#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

using kernels::DeviceBuffer;
using ::testing::Each;

// Gives pinned memory and nothing else.
class HostOnlyDevice : public kernels::Device {
 public:
  const kernels::DeviceInfo& info() const override { return info_; }
  absl::StatusOr<int64_t> FreeBytes() override { return Nothing(); }
  absl::StatusOr<DeviceBuffer> Allocate(int64_t) override { return Nothing(); }
  absl::StatusOr<DeviceBuffer> AllocatePinned(int64_t bytes) override {
    return DeviceBuffer(new std::byte[static_cast<size_t>(bytes)], bytes, nullptr,
                        [](void*, void* data) { delete[] static_cast<std::byte*>(data); });
  }
  absl::StatusOr<std::unique_ptr<kernels::DeviceStream>> NewStream(Priority) override {
    return Nothing();
  }
  absl::StatusOr<std::unique_ptr<kernels::DeviceEvent>> NewEvent() override { return Nothing(); }
  absl::StatusOr<std::unique_ptr<kernels::DeviceTimer>> NewTimer() override { return Nothing(); }
  absl::StatusOr<int32_t> ResidentBlocks(const kernels::Kernel&, int32_t) override {
    return Nothing();
  }
  absl::Status Prepare(const kernels::Kernel&, int32_t) override { return Nothing(); }
  void Seal() override {}
  kernels::DeviceCounters counters() const override { return {}; }

 private:
  static absl::Status Nothing() { return absl::UnimplementedError("a host's memory alone"); }

  const kernels::DeviceInfo info_;
};

constexpr int64_t kChunk = 256;
constexpr int kKeys = 5;

HostImages::Key KeyOf(int number) {
  AdapterDigest digest;
  digest.bytes[0] = static_cast<uint8_t>(number);
  return {"tenant", digest};
}

// Images differ in size, and none is a whole number of chunks.
int64_t BytesOf(int number) { return 100 + 300 * number; }

void Fill(const HostImages::Image& image, int number) {
  for (int64_t at = 0; at < BytesOf(number);) {
    const std::span<std::byte> run = image.At(at, BytesOf(number) - at);
    std::fill(run.begin(), run.end(), static_cast<std::byte>(number));
    at += std::ssize(run);
  }
}

void ExpectFilled(const HostImages::Image& image, int number) {
  for (int64_t at = 0; at < BytesOf(number);) {
    const std::span<std::byte> run = image.At(at, BytesOf(number) - at);
    ASSERT_THAT(run, Each(static_cast<std::byte>(number)));
    at += std::ssize(run);
  }
}

TEST(HostImagesTest, ManyThreadsFindMakeKeepAndForgetImagesThatStayWhole) {
  HostOnlyDevice device;
  // Room for about half of what the threads hold and keep.
  const auto images = HostImages::Create(&device, 3 * BytesOf(kKeys - 1), kChunk);
  ASSERT_TRUE(images.ok());
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(seed + t);
      for (int i = 0; i < 400; ++i) {
        const int number = static_cast<int>(random() % kKeys);
        HostImages::ImageRef image = (*images)->Find(KeyOf(number));
        if (image == nullptr) {
          const bool gives_up = random() % 8 == 0;
          auto made = (*images)->Make(BytesOf(number), [&] { return gives_up; });
          if (!made.ok()) {
            EXPECT_TRUE(gives_up && absl::IsCancelled(made.status())) << made.status();
            continue;
          }
          image = *std::move(made);
          Fill(*image, number);
          (*images)->Keep(KeyOf(number), image);
        }
        ExpectFilled(*image, number);
        if (random() % 16 == 0) (*images)->Forget(KeyOf(number));
        ExpectFilled(*image, number);  // who holds it is not disturbed
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // Nothing is lost: once all are forgotten, one image may have the whole arena.
  for (int number = 0; number < kKeys; ++number) (*images)->Forget(KeyOf(number));
  EXPECT_TRUE((*images)->Make((*images)->total_bytes(), [] { return true; }).ok());
}

}  // namespace
}  // namespace chorus::engine
