// The flags that describe a generation, common to the commands that ask for one.
#ifndef CHORUS_SERVER_CLI_REQUEST_OPTIONS_H_
#define CHORUS_SERVER_CLI_REQUEST_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "chorus/v1/inference.pb.h"
#include "server/cli/options.h"

namespace chorus::cli {

struct RequestOptions {
  void AddTo(OptionSet* options);
  // All but model, prompt and n. InvalidArgument names the flag.
  absl::Status Fill(v1::GenerateRequest* request) const;

  std::optional<int32_t> max_tokens;
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;
  std::optional<float> presence_penalty;
  std::optional<float> frequency_penalty;
  std::optional<uint64_t> seed;
  std::vector<std::string> logit_bias;  // "ID:BIAS"
  std::vector<std::string> stop;
  std::string stop_token_ids;  // "1,2"
  bool ignore_eos = false;
  std::optional<absl::Duration> timeout;
  std::optional<int32_t> priority;
  std::string cache_salt;
};

// "1,2,3", with or without spaces. InvalidArgument unless every part is a number.
absl::StatusOr<std::vector<int32_t>> ParseTokenIds(absl::string_view text);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_REQUEST_OPTIONS_H_
