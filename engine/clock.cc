#include "engine/clock.h"

#include <chrono>

namespace chorus::engine {
namespace {

class RealClock : public Clock {
 public:
  absl::Time Now() const override {
    return begin_ + absl::FromChrono(std::chrono::steady_clock::now() - steady_begin_);
  }

 private:
  const absl::Time begin_ = absl::Now();
  const std::chrono::steady_clock::time_point steady_begin_ = std::chrono::steady_clock::now();
};

}  // namespace

const Clock* Clock::Real() {
  static const RealClock* const clock = new RealClock;
  return clock;
}

}  // namespace chorus::engine
