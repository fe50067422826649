#include "engine/adapters/load_cost.h"

#include <algorithm>

namespace chorus::engine {
namespace {

constexpr double kDecay = 15.0 / 16.0;
// Low, so that what came before anything was measured is not kept for too long.
constexpr double kUnmeasuredLatency = 2e-4;
constexpr double kUnmeasuredPageSeconds = 2e-5;

}  // namespace

void LoadCost::Observe(int64_t pages, double seconds) {
  const auto x = static_cast<double>(pages);
  weight_ = weight_ * kDecay + 1.0;
  pages_ = pages_ * kDecay + x;
  seconds_ = seconds_ * kDecay + seconds;
  pages_pages_ = pages_pages_ * kDecay + x * x;
  pages_seconds_ = pages_seconds_ * kDecay + x * seconds;
}

// The line of least squares, with neither part below zero. Loads of one size say nothing of the
// parts; then all is rate.
double LoadCost::Seconds(int64_t pages) const {
  const auto x = static_cast<double>(pages);
  if (weight_ == 0.0) return kUnmeasuredLatency + x * kUnmeasuredPageSeconds;
  const double spread = weight_ * pages_pages_ - pages_ * pages_;
  double rate = seconds_ / pages_;
  if (spread > 1e-6 * weight_ * pages_pages_) {
    rate = std::max(0.0, (weight_ * pages_seconds_ - pages_ * seconds_) / spread);
  }
  double latency = (seconds_ - rate * pages_) / weight_;
  if (latency < 0.0) {
    latency = 0.0;
    rate = pages_seconds_ / pages_pages_;
  }
  return latency + x * rate;
}

}  // namespace chorus::engine
