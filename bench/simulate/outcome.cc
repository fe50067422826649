#include "bench/simulate/outcome.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

namespace chorus::bench {
namespace {

using nlohmann::json;

// Of the time in which requests arrive; what is before it counts as warming up.
constexpr double kWarmUp = 0.1;

double Mean(const std::vector<double>& values) {
  if (values.empty()) return 0.0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// REQUIRES: ascending.
double Percentile(const std::vector<double>& values, double share) {
  if (values.empty()) return 0.0;
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

}  // namespace

void DurationHistogram::Add(Nanos duration) {
  const auto value = static_cast<uint64_t>(std::max<Nanos>(duration, 1 << kBits));
  const int shift = std::bit_width(value) - 1 - kBits;  // the leading one and kBits are left
  const auto within = static_cast<size_t>((value >> shift) & ((1 << kBits) - 1));
  ++bins_[(static_cast<size_t>(shift) << kBits) + within];
  ++count_;
}

double DurationHistogram::Percentile(double share) const {
  uint64_t below = 0;
  for (size_t bin = 0; bin < bins_.size(); ++bin) {
    below += bins_[bin];
    if (below == 0 || static_cast<double>(below) < share * static_cast<double>(count_)) continue;
    const double low = static_cast<double>((1 << kBits) + (bin & ((1 << kBits) - 1)));
    return std::ldexp(low + 0.5, static_cast<int>(bin >> kBits)) * 1e-9;
  }
  return 0.0;
}

json RequestFigures(const std::vector<RequestRecord>& records, const DurationHistogram& gaps,
                    double first_token_limit_s) {
  std::vector<double> ttft, latency;
  int64_t finished = 0, steady = 0, in_time = 0, tokens = 0;
  double satisfaction = 0.0;
  Nanos last_end = 0;
  const Nanos arrived = records.empty() ? 0 : records.back().arrival;
  const auto warm = static_cast<Nanos>(kWarmUp * static_cast<double>(arrived));
  for (const RequestRecord& record : records) {
    tokens += record.tokens;
    if (!record.finished()) continue;
    ++finished;
    steady += record.end >= warm && record.end <= arrived;
    last_end = std::max(last_end, record.end);
    ttft.push_back(SecondsOf(record.first - record.arrival));
    latency.push_back(SecondsOf(record.end - record.arrival));
    if (ttft.back() < first_token_limit_s) {
      ++in_time;
      satisfaction += 1.0 - ttft.back() / first_token_limit_s * ttft.back() / first_token_limit_s;
    }
  }
  const double all = static_cast<double>(std::max<size_t>(records.size(), 1));
  const double seconds = SecondsOf(std::max<Nanos>(last_end, 1));
  const double mean_ttft = Mean(ttft), mean_latency = Mean(latency);
  std::sort(ttft.begin(), ttft.end());
  return {{"requests", records.size()},
          {"finished", finished},
          {"seconds", seconds},
          {"throughput", static_cast<double>(finished) / seconds},
          {"steady_throughput",
           arrived == 0 ? 0.0 : static_cast<double>(steady) / SecondsOf(arrived - warm)},
          {"tokens_per_s", static_cast<double>(tokens) / seconds},
          {"latency_s", mean_latency},
          {"ttft_s",
           {{"mean", mean_ttft},
            {"p50", Percentile(ttft, 0.5)},
            {"p95", Percentile(ttft, 0.95)},
            {"p99", Percentile(ttft, 0.99)}}},
          {"itl_s",
           {{"p50", gaps.Percentile(0.5)},
            {"p95", gaps.Percentile(0.95)},
            {"p99", gaps.Percentile(0.99)}}},
          {"attainment", static_cast<double>(in_time) / all},
          {"satisfaction", satisfaction / all}};
}

}  // namespace chorus::bench
