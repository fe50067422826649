// One generation, from request to summary, and what the client measured on the way.
#ifndef CHORUS_SERVER_CLI_GENERATION_H_
#define CHORUS_SERVER_CLI_GENERATION_H_

#include <grpcpp/grpcpp.h>

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "chorus/v1/inference.grpc.pb.h"
#include "server/cli/console.h"

namespace chorus::cli {

struct Generation {
  std::string model;
  grpc::Status status;
  v1::Started started;                     // as far as it came
  v1::Summary summary;                     // likewise
  std::vector<v1::FinishReason> finishes;  // one per choice that ended
  absl::Duration to_first_token;           // zero: none came
  absl::Duration first_to_last;            // between the first message with tokens and the last
  int64_t tokens_after_first = 0;          // in the messages after the first
};

// Sends `request` and gives every message to `on_response` as it comes. Blocks until the end.
Generation RunGeneration(v1::Inference::StubInterface* stub, const v1::GenerateRequest& request,
                         grpc::ClientContext* context,
                         absl::FunctionRef<void(const v1::GenerateResponse&)> on_response);

// "stop", "length", "deadline", "cancelled"
std::string FinishText(v1::FinishReason reason);

// One line when the prompt did not invoke the activated LoRA that was asked for; else empty.
std::string ActivationNotice(const Generation& generation);

// A table of what each generation took, for --stats.
std::string StatsText(const std::vector<Generation>& generations);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_GENERATION_H_
