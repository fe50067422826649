// Traces: who asks what, and when. One JSON object a line, in order of arrival:
//   {"arrival":0.469,"adapter":74,"prompt":110,"output":306,"tenant":"tenant-0"}
// arrival in seconds from the start; adapter an index, or null for the base; prompt and output in
// tokens; tenant may be absent.
#ifndef CHORUS_SERVER_CLI_TRACE_FILE_H_
#define CHORUS_SERVER_CLI_TRACE_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace chorus::cli {

struct TraceRequest {
  absl::Duration arrival;          // from the start; ascending in a trace
  std::optional<int32_t> adapter;  // nullopt: the base
  int32_t prompt_tokens = 1;
  int32_t output_tokens = 1;
  std::string tenant;
};

// At least one request. InvalidArgument naming the file, the line, the field, what was expected and
// what came; NotFound and others when the file cannot be read.
absl::StatusOr<std::vector<TraceRequest>> ReadTrace(const std::string& path);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_TRACE_FILE_H_
