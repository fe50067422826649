#include "server/cli/request_options.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/status_macros.h"

namespace chorus::cli {

void RequestOptions::AddTo(OptionSet* options) {
  options->Add("--max-tokens", "N", "at most so many tokens (default 256, or what has room)",
               &max_tokens);
  options->Add("--temperature", "T",
               "0 is greedy; unset sampling flags follow the model's defaults", &temperature);
  options->Add("--top-k", "N", "only the N likeliest tokens; 0 is off", &top_k);
  options->Add("--top-p", "P", "only the likeliest tokens that sum to P; 1 is off", &top_p);
  options->Add("--min-p", "P", "only tokens of P times the best one's probability; 0 is off",
               &min_p);
  options->Add("--repetition-penalty", "X", "over prompt and answer; 1 is off",
               &repetition_penalty);
  options->Add("--presence-penalty", "X", "over the answer; 0 is off", &presence_penalty);
  options->Add("--frequency-penalty", "X", "over the answer, per occurrence; 0 is off",
               &frequency_penalty);
  options->Add("--seed", "N", "the same seed draws the same tokens", &seed);
  options->Add("--logit-bias", "ID:BIAS", "added to a token's logit; repeatable", &logit_bias);
  options->Add("--stop", "TEXT", "ends before TEXT; repeatable", &stop);
  options->Add("--stop-token-ids", "IDS", "ends at one of these ids, \"1,2\"", &stop_token_ids);
  options->AddSwitch("--ignore-eos", "goes on past the model's own end", &ignore_eos);
  options->Add("--timeout", "TIME", "ends the answer after TIME, \"30s\"", &timeout);
  options->Add("--priority", "N", "larger goes first, -100 to 100", &priority);
  options->Add("--cache-salt", "TEXT", "shares prefixes only with requests of the same salt",
               &cache_salt);
}

absl::StatusOr<std::vector<int32_t>> ParseTokenIds(absl::string_view text) {
  std::vector<int32_t> ids;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    int32_t id = 0;
    if (!absl::SimpleAtoi(part, &id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("wants numbers like 1,2,3, got \"", part, "\""));
    }
    ids.push_back(id);
  }
  return ids;
}

absl::Status RequestOptions::Fill(v1::GenerateRequest* request) const {
  v1::Sampling* sampling = request->mutable_sampling();
  if (max_tokens) request->set_max_tokens(*max_tokens);
  if (temperature) sampling->set_temperature(*temperature);
  if (top_k) sampling->set_top_k(*top_k);
  if (top_p) sampling->set_top_p(*top_p);
  if (min_p) sampling->set_min_p(*min_p);
  if (repetition_penalty) sampling->set_repetition_penalty(*repetition_penalty);
  if (presence_penalty) sampling->set_presence_penalty(*presence_penalty);
  if (frequency_penalty) sampling->set_frequency_penalty(*frequency_penalty);
  if (seed) sampling->set_seed(*seed);
  for (const std::string& text : logit_bias) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(text, absl::MaxSplits(':', 1));
    v1::LogitBias* bias = sampling->add_logit_bias();
    int32_t id = 0;
    float value = 0;
    if (!absl::SimpleAtoi(parts.first, &id) || !absl::SimpleAtof(parts.second, &value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--logit-bias wants ID:BIAS, got \"", text, "\""));
    }
    bias->set_token_id(id);
    bias->set_bias(value);
  }
  for (const std::string& text : stop) request->add_stop(text);
  if (!stop_token_ids.empty()) {
    const absl::StatusOr<std::vector<int32_t>> ids = ParseTokenIds(stop_token_ids);
    if (!ids.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--stop-token-ids ", ids.status().message()));
    }
    for (int32_t id : *ids) request->add_stop_token_ids(id);
  }
  request->set_ignore_eos(ignore_eos);
  if (timeout) request->set_timeout_ms(std::max<int64_t>(1, absl::ToInt64Milliseconds(*timeout)));
  if (priority) request->set_priority(*priority);
  request->set_cache_salt(cache_salt);
  return absl::OkStatus();
}

}  // namespace chorus::cli
