// Percentiles of samples.
#ifndef CHORUS_SERVER_CLI_PERCENTILES_H_
#define CHORUS_SERVER_CLI_PERCENTILES_H_

#include <vector>

namespace chorus::cli {

struct Percentiles {
  double p50 = 0;
  double p90 = 0;
  double p95 = 0;
  double p99 = 0;
};

// Between neighbouring samples interpolated linearly: of n sorted samples, percentile p lies at
// index (n - 1) p / 100 (definition 7 of Hyndman and Fan 1996, NumPy's default). Zeros without
// samples.
Percentiles PercentilesOf(std::vector<double> samples);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_PERCENTILES_H_
