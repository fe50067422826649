// Vectorised passes over a row of logits. Each sums in an order fixed by the length alone.
#ifndef CHORUS_KERNELS_SAMPLING_LOGIT_SCANS_H_
#define CHORUS_KERNELS_SAMPLING_LOGIT_SCANS_H_

#include <cstdint>
#include <span>

namespace chorus::kernels {

constexpr int64_t kScanBlock = 64;

// Writes the largest value of each block of kScanBlock (the last may be short). False when a value
// is NaN or +infinity.
bool BlockMaxima(std::span<const float> values, std::span<float> maxima);

// weights[i] = exp((values[i] − max) · inverse_temperature), and each block's sum.
// REQUIRES: values[i] <= max, finite; weights may be values.
void BlockWeights(std::span<const float> values, float max, float inverse_temperature,
                  std::span<float> weights, std::span<double> sums);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_SAMPLING_LOGIT_SCANS_H_
