// Pace: how long steps, loads and sequences took lately, as means in which the last few weigh most.
// Engine thread only.
#ifndef CHORUS_ENGINE_SCHEDULE_PACE_H_
#define CHORUS_ENGINE_SCHEDULE_PACE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/time/time.h"

namespace chorus::engine {

class Pace {
 public:
  // Steps of at least `many_rows` tell what a prompt's row costs: those of few take as long as the
  // weights take to be read.
  explicit Pace(int64_t many_rows) : many_rows_(many_rows) {}

  void AddStep(int64_t rows, absl::Duration took) {
    const double seconds = absl::ToDoubleSeconds(took);
    Steps& steps = rows < many_rows_ ? few_ : many_;
    steps.rows.Add(static_cast<double>(rows));
    steps.seconds.Add(seconds);
    if (rows >= many_rows_) row_.Add(seconds / static_cast<double>(rows));
  }
  void AddLoad(int64_t pages, absl::Duration took) {
    load_page_.Add(absl::ToDoubleSeconds(took) / static_cast<double>(std::max<int64_t>(pages, 1)));
  }
  // From admission to the end.
  void AddSequence(absl::Duration took) { sequence_.Add(absl::ToDoubleSeconds(took)); }

  // A forecast of `expected` came true after `took`.
  void AddForecast(absl::Duration expected, absl::Duration took) {
    const double ratio = absl::FDivDuration(took, expected);
    if (error_.count > 0) deviation_.Add(std::abs(ratio - error_.value));
    error_.Add(ratio);
  }

  // Whether StepTime means anything.
  bool known() const { return row_.count > 0; }
  // A prompt's row in a step of many; zero: not known.
  absl::Duration row_time() const { return absl::Seconds(row_.value); }
  // A line through the steps of few rows and those of many; through zero where only the latter
  // were.
  absl::Duration StepTime(double rows) const {
    if (few_.rows.count == 0) return absl::Seconds(row_.value * rows);
    const double slope = std::max(
        0.0, (many_.seconds.value - few_.seconds.value) / (many_.rows.value - few_.rows.value));
    return absl::Seconds(few_.seconds.value + slope * std::max(0.0, rows - few_.rows.value));
  }
  // Zero as long as none has ended.
  absl::Duration LoadTime(int64_t pages) const {
    return absl::Seconds(load_page_.value * static_cast<double>(pages));
  }
  absl::Duration sequence_time() const { return absl::Seconds(sequence_.value); }
  // How many times as long as forecast most took: the mean and once the mean deviation.
  double caution() const {
    return error_.count == 0 ? 1.0 : std::clamp(error_.value + deviation_.value, 0.5, 2.0);
  }

 private:
  struct Mean {
    double value = 0.0;
    int64_t count = 0;

    void Add(double sample) {
      value += (sample - value) / static_cast<double>(std::min<int64_t>(++count, 8));
    }
  };
  struct Steps {
    Mean rows;
    Mean seconds;
  };

  const int64_t many_rows_;
  Steps few_, many_;
  Mean row_, load_page_, sequence_;
  Mean error_, deviation_;  // of forecasts, as ratios
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_PACE_H_
