// Answers as JSON objects, one a line, for programs:
//   {"event":"started","model":…,"request_id":…,"adapter_digest":…,"adapter_version":…}, with
//       "activation":{"position":…} of an activated LoRA; null: the base model answers
//   {"event":"delta","model":…,"index":…,"text":…,"token_ids":[…]}, with "logprobs" when asked for
//       and, in a choice's last, "finish_reason" ("STOP" …), "stop_string", "stop_token_id"
//   {"event":"summary","model":…,"prompt_tokens":…,"cached_tokens":…,"completion_tokens":…,
//       "queue_time_us":…,"time_to_first_token_us":…}
//   {"event":"error","model":…,"code":…,"message":…}, with "reason", "object", "expected", "got"
//       and "retry_after_ms" where the server sent them
// "model" is what was asked for.
#ifndef CHORUS_SERVER_CLI_ANSWER_JSON_H_
#define CHORUS_SERVER_CLI_ANSWER_JSON_H_

#include <grpcpp/support/status.h>

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "chorus/v1/inference.pb.h"

namespace chorus::cli {

// `json` on one line, with its newline. Strings that are not UTF-8 get U+FFFD.
std::string JsonLine(const nlohmann::ordered_json& json);

// The lines of one message.
std::string AnswerJson(const std::string& model, const v1::GenerateResponse& response);
std::string AnswerErrorJson(const std::string& model, const grpc::Status& status);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_ANSWER_JSON_H_
