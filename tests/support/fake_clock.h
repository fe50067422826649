// A clock that stands still until a test moves it.
#ifndef CHORUS_TESTS_SUPPORT_FAKE_CLOCK_H_
#define CHORUS_TESTS_SUPPORT_FAKE_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "engine/clock.h"

namespace chorus::test {

// Thread-safe.
class FakeClock : public engine::Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixNanos(nanos_.load()); }
  void Advance(absl::Duration duration) { nanos_ += absl::ToInt64Nanoseconds(duration); }

 private:
  std::atomic<int64_t> nanos_{int64_t{1'800'000'000} * 1'000'000'000};
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_FAKE_CLOCK_H_
