// What the tests of SimDevice share: a device in one order with its streams, and data that is read
// and written as numbers.
#ifndef CHORUS_TESTS_SIMT_SIM_FIXTURE_H_
#define CHORUS_TESTS_SIMT_SIM_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/simt/sim_device.h"
#include "tests/support/device_kernels.h"

namespace chorus::kernels {

inline const char* Name(SimOrder order) {
  constexpr const char* kNames[] = {"lazy", "eager", "random", "timed"};
  return kNames[static_cast<size_t>(order)];
}

// kRandom stands for its seeds 1 to 20.
inline std::vector<SimOptions> EverySimOrder() {
  std::vector<SimOptions> all;
  for (const SimOrder order : {SimOrder::kLazy, SimOrder::kEager, SimOrder::kTimed}) {
    all.push_back({.order = order});
  }
  for (uint64_t seed = 1; seed <= 20; ++seed) all.push_back({.seed = seed});
  return all;
}
inline std::string Name(const SimOptions& options) {
  return absl::StrCat(Name(options.order), " order, seed ", options.seed);
}

inline void PrintTo(const SimOptions& options, std::ostream* out) { *out << Name(options); }

template <class T>
T Value(absl::StatusOr<T> value) {
  EXPECT_TRUE(value.ok()) << value.status();
  return *std::move(value);
}

inline testing::AssertionResult Ok(const absl::Status& status) {
  if (status.ok()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << status;
}

// A violation whose text has `part`.
inline testing::AssertionResult IsViolation(const absl::Status& status, absl::string_view part) {
  if (status.code() == absl::StatusCode::kInternal && absl::StartsWith(status.message(), "sim:") &&
      absl::StrContains(status.message(), part)) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << status << "\nwant a violation: " << part;
}
inline testing::AssertionResult IsRefused(const absl::Status& status, absl::string_view part) {
  if (status.code() == absl::StatusCode::kFailedPrecondition &&
      absl::StrContains(status.message(), part)) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << status << "\nwant FailedPrecondition: " << part;
}

// Numbers in one buffer each: device memory x, y and z, pinned memory `in` and `out`. What the
// methods enqueue is of one thread block.
struct SimBench {
  static constexpr int32_t kCount = 200;
  static constexpr int64_t kBytes = kCount * 4;

  explicit SimBench(const SimOptions& options) : device(options) {
    for (DeviceBuffer* buffer : {&x, &y, &z}) *buffer = Value(device.Allocate(kBytes));
    for (DeviceBuffer* buffer : {&in, &out}) *buffer = Value(device.AllocatePinned(kBytes));
    one = Value(device.NewStream(Device::Priority::kNormal));
    two = Value(device.NewStream(Device::Priority::kHigh));
    event = Value(device.NewEvent());
    other_event = Value(device.NewEvent());
    SetIn(0);
  }

  // in[i] = value + i.
  void SetIn(uint32_t value) {
    for (int32_t i = 0; i < kCount; ++i) in.As<uint32_t>()[i] = value + static_cast<uint32_t>(i);
  }
  // Whether out[i] = Scrambled(value + i, rounds) for all i.
  bool OutIs(uint32_t value, int32_t rounds) const {
    for (int32_t i = 0; i < kCount; ++i) {
      if (out.As<uint32_t>()[i] != Scrambled(value + static_cast<uint32_t>(i), rounds)) {
        return false;
      }
    }
    return true;
  }

  absl::Status Upload(DeviceStream* stream, const DeviceBuffer& to) {
    return stream->CopyToDevice(to.data(), in.data(), kBytes);
  }
  absl::Status Download(DeviceStream* stream, const DeviceBuffer& from) {
    return stream->CopyToHost(out.data(), from.data(), kBytes);
  }
  absl::Status Scramble(DeviceStream* stream, const DeviceBuffer& from, const DeviceBuffer& to) {
    return stream->Launch(
        kTestScramble, 1, 0,
        ScrambleParams{
            .x = from.As<uint32_t>(), .y = to.As<uint32_t>(), .count = kCount, .rounds = 1});
  }
  // `later` goes on after what `earlier` holds now.
  absl::Status Order(DeviceStream* earlier, DeviceStream* later, DeviceEvent* by) {
    absl::Status status = earlier->Record(by);
    status.Update(later->Wait(by));
    return status;
  }

  SimDevice device;
  DeviceBuffer x, y, z, in, out;
  std::unique_ptr<DeviceStream> one, two;
  std::unique_ptr<DeviceEvent> event, other_event;
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIM_FIXTURE_H_
