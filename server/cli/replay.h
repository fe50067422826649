// A trace replayed: open loop, each request sent when its time has come, however many wait; or in a
// closed loop, in order, so many at a time. One thread serves all streams.
#ifndef CHORUS_SERVER_CLI_REPLAY_H_
#define CHORUS_SERVER_CLI_REPLAY_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "chorus/v1/inference.pb.h"
#include "server/cli/trace_file.h"

namespace chorus::cli {

struct ReplayOptions {
  std::string address;
  std::string base_model;
  std::string adapter_names = "bench-{}";         // "{}" stands for the index
  int64_t concurrency = 0;                        // 0: open loop
  absl::Duration cut = absl::InfiniteDuration();  // nothing is sent after it, what runs is ended
  int32_t vocabulary = 0;                         // random ids lie below it
  uint64_t seed = 1;                              // of the ids
  v1::GenerateRequest request;                    // all but model, prompt and lengths
};

// One request. Times are seconds from the replay's start.
struct ReplayRecord {
  int64_t index = 0;  // in the trace
  double due = 0;     // in a closed loop: when a stream was free
  double sent = 0;
  double first = 0;             // token; infinite when none came
  double end = 0;               // of the answer, or of the call
  int64_t tokens = 0;           // that came
  std::vector<double> gaps_ms;  // before each token but those that came with the first
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;
  bool cut = false;     // ended by ReplayOptions::cut
  std::string problem;  // "CODE: message"

  bool ok() const { return problem.empty(); }
  bool whole() const { return ok() && !cut; }
  // Since it was due: what a request waits because the client is late counts too.
  double ttft() const { return first - due; }
};

struct Replay {
  std::vector<ReplayRecord> records;        // of all that were sent, in order of their ends
  absl::Duration client_cpu;                // of this process, user and system
  std::optional<grpc::Status> unreachable;  // the replay was broken off
};

// Blocks until all have ended. REQUIRES: the trace is not empty and in order of arrival.
Replay RunReplay(const std::vector<TraceRequest>& trace, const ReplayOptions& options);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_REPLAY_H_
