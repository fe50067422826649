// What the tests on a GPU share: the device, and memory on it. They skip where there is none.
#ifndef CHORUS_TESTS_GPU_GPU_TEST_H_
#define CHORUS_TESTS_GPU_GPU_TEST_H_

#include <algorithm>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/device/cuda_device.h"

namespace chorus::test {

class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    auto device = kernels::CudaDevice::Open("auto");
    if (device.status().code() == absl::StatusCode::kNotFound) {
      GTEST_SKIP() << device.status().message();
    }
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    stream_ = device_->NewStream(kernels::Device::Priority::kNormal).value();
  }

  void TearDown() override {
    if (stream_ == nullptr) return;
    ASSERT_TRUE(stream_->Synchronize().ok());
    buffers_.clear();
  }

  kernels::Device& device() { return *device_; }
  kernels::DeviceStream& stream() { return *stream_; }

  // Memory until the test ends, every byte 0xff: NaN in each float type.
  template <class T>
  T* Poisoned(int64_t count) {
    buffers_.push_back(device_->Allocate(count * static_cast<int64_t>(sizeof(T))).value());
    EXPECT_TRUE(stream_->Fill(buffers_.back().data(), 0xff, buffers_.back().bytes()).ok());
    return buffers_.back().As<T>();
  }

  // A copy of host memory, which may go when this returns.
  template <class T>
  T* Upload(const T* from, int64_t count) {
    T* const to = Poisoned<T>(count);
    Copy(to, from, count * static_cast<int64_t>(sizeof(T)), /*to_device=*/true);
    return to;
  }
  void Download(void* to, const void* from, int64_t bytes) { Copy(to, from, bytes, false); }

 private:
  // Through one pinned block, piece by piece.
  void Copy(void* to, const void* from, int64_t bytes, bool to_device) {
    constexpr int64_t kPiece = 8 << 20;
    if (staging_.data() == nullptr) staging_ = device_->AllocatePinned(kPiece).value();
    for (int64_t at = 0; at < bytes; at += kPiece) {
      const int64_t piece = std::min(kPiece, bytes - at);
      auto* const target = static_cast<std::byte*>(to) + at;
      const auto* const source = static_cast<const std::byte*>(from) + at;
      if (to_device) {
        std::copy_n(source, piece, staging_.data());
        ASSERT_TRUE(stream_->CopyToDevice(target, staging_.data(), piece).ok());
      } else {
        ASSERT_TRUE(stream_->CopyToHost(staging_.data(), source, piece).ok());
      }
      const absl::Status status = stream_->Synchronize();
      ASSERT_TRUE(status.ok()) << status;
      if (!to_device) std::copy_n(staging_.data(), piece, target);
    }
  }

  std::unique_ptr<kernels::CudaDevice> device_;
  std::unique_ptr<kernels::DeviceStream> stream_;
  kernels::DeviceBuffer staging_;
  std::vector<kernels::DeviceBuffer> buffers_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_GPU_GPU_TEST_H_
