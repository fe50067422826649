#include "server/cli/answer_json.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "server/cli/error_text.h"

namespace chorus::cli {
namespace {

using Json = nlohmann::ordered_json;

Json LogprobJson(const v1::TokenLogprob& token) {
  Json bytes = Json::array();
  for (const char byte : token.bytes()) bytes.push_back(static_cast<unsigned char>(byte));
  return {
      {"token_id", token.token_id()}, {"logprob", token.logprob()}, {"bytes", std::move(bytes)}};
}

Json DeltaJson(const std::string& model, const v1::ChoiceDelta& delta) {
  Json json = {{"event", "delta"},
               {"model", model},
               {"index", delta.index()},
               {"text", delta.text()},
               {"token_ids", Json::array()}};
  for (const int32_t id : delta.token_ids()) json["token_ids"].push_back(id);
  for (const v1::TokenLogprobs& logprobs : delta.logprobs()) {
    Json entry = LogprobJson(logprobs.token());
    entry["top"] = Json::array();
    for (const v1::TokenLogprob& top : logprobs.top()) entry["top"].push_back(LogprobJson(top));
    json["logprobs"].push_back(std::move(entry));
  }
  if (delta.finish_reason() != v1::FINISH_REASON_UNSPECIFIED) {
    json["finish_reason"] = v1::FinishReason_Name(delta.finish_reason());
    if (!delta.stop_string().empty()) json["stop_string"] = delta.stop_string();
    if (delta.has_stop_token_id()) json["stop_token_id"] = delta.stop_token_id();
  }
  return json;
}

}  // namespace

std::string JsonLine(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string AnswerJson(const std::string& model, const v1::GenerateResponse& response) {
  std::string lines;
  if (response.has_started()) {
    const v1::Started& started = response.started();
    Json json = {{"event", "started"},
                 {"model", model},
                 {"request_id", started.request_id()},
                 {"adapter_digest", started.adapter_digest()},
                 {"adapter_version", started.adapter_version()}};
    if (started.has_activation()) {
      Json& position = json["activation"]["position"] = nullptr;
      if (started.activation().has_position()) position = started.activation().position();
    }
    lines += JsonLine(json);
  }
  for (const v1::ChoiceDelta& delta : response.choices())
    lines += JsonLine(DeltaJson(model, delta));
  if (response.has_summary()) {
    const v1::Summary& summary = response.summary();
    lines += JsonLine({{"event", "summary"},
                       {"model", model},
                       {"prompt_tokens", summary.usage().prompt_tokens()},
                       {"cached_tokens", summary.usage().cached_tokens()},
                       {"completion_tokens", summary.usage().completion_tokens()},
                       {"queue_time_us", summary.queue_time_us()},
                       {"time_to_first_token_us", summary.time_to_first_token_us()}});
  }
  return lines;
}

std::string AnswerErrorJson(const std::string& model, const grpc::Status& status) {
  Json json = {{"event", "error"}, {"model", model}};
  json.update(ErrorJson(status));
  return JsonLine(json);
}

}  // namespace chorus::cli
