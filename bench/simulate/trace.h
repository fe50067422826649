// Traces as bench/workload/traces.py writes them: one JSON object a line.
#ifndef CHORUS_BENCH_SIMULATE_TRACE_H_
#define CHORUS_BENCH_SIMULATE_TRACE_H_

#include <cstdint>
#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace chorus::bench {

struct TraceRequest {
  double arrival = 0.0;  // seconds from the start
  int64_t adapter = -1;  // from 0 on; -1: the base model
  int32_t prompt = 0;    // tokens
  int32_t output = 0;
  int32_t tenant = 0;  // into Trace::tenants
};

struct Trace {
  std::vector<TraceRequest> requests;  // in order of arrival
  std::vector<std::string> tenants;

  int64_t num_adapters() const;  // one more than the largest index
};

// InvalidArgument naming the line, what was expected and what came.
absl::StatusOr<Trace> ReadTrace(std::istream* lines);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_TRACE_H_
