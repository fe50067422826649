// A closed loop of generations: so many streams at a time, each beginning the next request when one
// ends. One thread serves all streams, so that the client costs little beside what it measures.
#ifndef CHORUS_SERVER_CLI_LOAD_GENERATOR_H_
#define CHORUS_SERVER_CLI_LOAD_GENERATOR_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "chorus/v1/inference.pb.h"

namespace chorus::cli {

struct LoadOptions {
  std::string address;
  std::vector<std::string> models;  // at least one; requests take them in turn
  int32_t concurrency = 8;
  int64_t requests = 0;                    // 0: no limit but `duration`
  std::optional<absl::Duration> duration;  // no request begins after it
  int64_t warmup = 0;                      // requests before, at the same concurrency, not counted
  int32_t prompt_tokens = 128;             // random ids, different in every request
  int32_t vocabulary = 0;                  // ids lie below it
  uint64_t seed = 1;                       // of the ids
  v1::GenerateRequest request;             // all but model and prompt
};

struct LoadResult {
  int64_t requests = 0;  // that ended, errors included
  int64_t errors = 0;
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  absl::Duration elapsed;       // from the first request's begin to the last one's end
  absl::Duration client_cpu;    // of this process, user and system, in that time
  std::vector<double> ttft_ms;  // a sample per request with tokens
  std::vector<double> itl_ms;   // a sample per token but the first ones; tokens that come together
                                // share the time since the message before
  std::map<std::string, int64_t> problems;  // how often each error came
  std::optional<grpc::Status> unreachable;  // the last failure of that kind
};

// REQUIRES: the options' ranges as above; requests or duration is given. Blocks until all ended.
LoadResult RunLoad(const LoadOptions& options);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_LOAD_GENERATOR_H_
