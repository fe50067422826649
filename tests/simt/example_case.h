// Cases of the example kernel, with numbers to hold it against.
#ifndef CHORUS_TESTS_SIMT_EXAMPLE_CASE_H_
#define CHORUS_TESTS_SIMT_EXAMPLE_CASE_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/simt/example_kernel.h"
#include "tests/simt/simt_launch.h"
#include "tests/support/counter_hash.h"

namespace chorus::kernels {

template <class T>
class ExampleCase {
 public:
  ExampleCase(uint64_t seed, int rows, int k)
      : rows_(rows), k_(k), x_(Values(seed, rows * k)), w_(Values(seed + 1, kExampleColumns * k)) {
    y_.resize(static_cast<size_t>(rows * kExampleColumns));
    rounded_.resize(y_.size());
    memory_.Add("x", x_.data(), rows * k, SimtUse::kReadOnly);
    memory_.Add("w", w_.data(), kExampleColumns * k, SimtUse::kReadOnly);
    memory_.Add("y", y_.data(), rows * kExampleColumns, SimtUse::kWriteOnce);
    memory_.Add("rounded", rounded_.data(), rows * kExampleColumns, SimtUse::kWriteOnce);
    memory_.Add("stored", &stored_, 1, SimtUse::kReadWrite);
    memory_.Add("largest", &largest_, 1, SimtUse::kReadWrite);
  }

  // "" or what failed. `report`, if not null, gets the executor's.
  std::string Run(const Kernel& kernel, int blocks, const SimtOptions& options,
                  SimtReport* report = nullptr) {
    memory_.PoisonOutputs();
    stored_ = 1000;
    largest_ = 0;
    const ExampleParams<T> params{x_.data(), w_.data(), y_.data(), rounded_.data(),
                                  &stored_,  &largest_, rows_,     k_};
    const SimtReport run = RunSimt(kernel, blocks, kExampleSharedBytes, &params, memory_, options);
    if (report != nullptr) *report = run;
    return run.failure.empty() ? WrongNumber() : run.failure;
  }

 private:
  static std::vector<T> Values(uint64_t seed, int count) {
    std::vector<T> values;
    for (const float value : test::CounterValues(seed, count)) {
      values.push_back(T::FromFloat(value));
    }
    return values;
  }

  // A sum of k products of which each addition errs by up to 2^-23 when it is cut off; d/ds of
  // log(1 + eˢ) is below 1, and exp, log, 1 + … and the scale err by a few units of a value that
  // is at most 2 + |s|.
  std::string WrongNumber() const {
    float largest = 0.0f;
    for (int row = 0; row < rows_; ++row) {
      for (int column = 0; column < kExampleColumns; ++column) {
        double sum = 0.0, magnitude = 0.0;
        for (int i = 0; i < k_; ++i) {
          const double product = double{x_[static_cast<size_t>(row * k_ + i)].ToFloat()} *
                                 double{w_[static_cast<size_t>(column * k_ + i)].ToFloat()};
          sum += product;
          magnitude += std::abs(product);
        }
        const double root = std::sqrt(static_cast<double>(k_));
        const double want = std::log1p(std::exp(sum / root));
        const double bound =
            (k_ + 2) * 0x1p-23 * magnitude / root + 6 * 0x1p-23 * (2 + std::abs(sum / root));
        const auto at = static_cast<size_t>(row * kExampleColumns + column);
        if (!(std::abs(double{y_[at]} - want) <= bound)) return Wrong("y", at, y_[at], want);
        if (rounded_[at].bits != T::FromFloat(y_[at]).bits) {
          return Wrong("rounded", at, rounded_[at].ToFloat(), y_[at]);
        }
        largest = std::max(largest, rounded_[at].ToFloat());
      }
    }
    if (stored_ != 1000 + rows_) return Wrong("stored", 0, stored_, 1000 + rows_);
    const auto found = std::bit_cast<float>(largest_);
    return found == largest ? "" : Wrong("largest", 0, found, largest);
  }
  static std::string Wrong(const char* what, size_t at, double got, double want) {
    return std::string(what) + "[" + std::to_string(at) + "] is " + std::to_string(got) +
           ", want " + std::to_string(want);
  }

  int rows_, k_;
  std::vector<T> x_, w_, rounded_;
  std::vector<float> y_;
  int32_t stored_ = 0;
  uint32_t largest_ = 0;
  SimtMemory memory_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_EXAMPLE_CASE_H_
