#include "server/generate/request_builder.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/refusal.h"
#include "engine/schedule/activation.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"
#include "server/generate/field_ranges.h"

namespace chorus::server {
namespace {

using engine::Quoted;
using engine::Reason;
using engine::Refuse;

constexpr int32_t kDefaultMaxTokens = 256;
constexpr int kMaxStops = 16;
constexpr size_t kMaxStopBytes = 256;
constexpr int kMaxStopIds = 64;
constexpr int kMaxBiases = 1024;
constexpr float kMaxBias = 100.0f;
constexpr size_t kMaxIdBytes = 128;
constexpr size_t kMaxSaltBytes = 128;
constexpr int kMaxMessages = 4096;

uint64_t RandomNumber() {
  uint64_t number = 0;
  CHORUS_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&number), sizeof(number)) == 1);
  return number;
}

absl::Status TooMany(std::string_view field, int most, int got) {
  return Refuse(Reason::kValueOutOfRange, std::string(field), absl::StrCat("at most ", most),
                absl::StrCat(got));
}

absl::Status CheckTokenId(std::string_view field, int32_t id, int32_t vocabulary) {
  if (id >= 0 && id < vocabulary) return absl::OkStatus();
  return Refuse(Reason::kTokenOutOfVocabulary, std::string(field),
                absl::StrCat("a token id from 0 to ", vocabulary - 1), absl::StrCat(id));
}

absl::Status CheckRequestId(const std::string& id) {
  if (id.size() <= kMaxIdBytes && std::ranges::all_of(id, absl::ascii_isgraph)) {
    return absl::OkStatus();
  }
  return Refuse(Reason::kValueOutOfRange, "request_id",
                absl::StrCat("at most ", kMaxIdBytes, " printable ASCII characters"), Quoted(id));
}

absl::Status CheckLists(const v1::GenerateRequest& request, int32_t vocabulary) {
  if (request.stop_size() > kMaxStops) return TooMany("stop", kMaxStops, request.stop_size());
  for (const std::string& stop : request.stop()) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      return Refuse(Reason::kValueOutOfRange, "stop",
                    absl::StrCat("strings of 1 to ", kMaxStopBytes, " bytes"),
                    absl::StrCat(stop.size(), " bytes"));
    }
  }
  if (request.stop_token_ids_size() > kMaxStopIds) {
    return TooMany("stop_token_ids", kMaxStopIds, request.stop_token_ids_size());
  }
  for (const int32_t id : request.stop_token_ids()) {
    CHORUS_RETURN_IF_ERROR(CheckTokenId("stop_token_ids", id, vocabulary));
  }
  const auto& biases = request.sampling().logit_bias();
  if (biases.size() > kMaxBiases) {
    return TooMany("sampling.logit_bias", kMaxBiases, biases.size());
  }
  std::set<int32_t> biased;
  for (const v1::LogitBias& bias : biases) {
    CHORUS_RETURN_IF_ERROR(
        CheckTokenId("sampling.logit_bias.token_id", bias.token_id(), vocabulary));
    if (!(std::abs(bias.bias()) <= kMaxBias)) {
      return Refuse(Reason::kValueOutOfRange, "sampling.logit_bias.bias",
                    absl::StrCat("a number from -", kMaxBias, " to ", kMaxBias),
                    absl::StrCat(bias.bias()));
    }
    if (!biased.insert(bias.token_id()).second) {
      return Refuse(Reason::kConflictingFields, "sampling.logit_bias", "each token id once",
                    absl::StrCat(bias.token_id(), " twice"));
    }
  }
  if (request.cache_salt().size() > kMaxSaltBytes) {
    return Refuse(Reason::kValueOutOfRange, "cache_salt",
                  absl::StrCat("at most ", kMaxSaltBytes, " bytes"),
                  absl::StrCat(request.cache_salt().size()));
  }
  return absl::OkStatus();
}

// The message's own fields over what its extra_json says.
absl::StatusOr<jinja::Json> MessageOf(const v1::ChatMessage& message, std::string_view place) {
  jinja::Json object = jinja::Json::object();
  object["role"] = message.role();
  object["content"] = message.content();
  if (message.extra_json().empty()) return object;
  CHORUS_ASSIGN_OR_RETURN(const jinja::Json extra,
                          engine::ParseChatJson(message.extra_json(), place));
  if (!extra.is_object()) {
    return Refuse(Reason::kJsonInvalid, std::string(place), "a JSON object", extra.type_name());
  }
  for (const auto& [key, value] : extra.items()) {
    // What "content" as a plain string cannot say (parts, null) stands here; a role never does.
    if (key == "role" || (key == "content" && !message.content().empty())) {
      return Refuse(Reason::kConflictingFields, std::string(place),
                    "fields that the message has none of", Quoted(key));
    }
    if (key == "content") {
      object[key] = value;
    } else {  // no key stands twice; a search for each of many would take long
      object.get_ptr<jinja::Json::object_t*>()->emplace_back(key, value);
    }
  }
  return object;
}

absl::StatusOr<engine::ChatTemplate::Request> ChatOf(const v1::Chat& chat) {
  if (chat.messages().empty()) {
    return Refuse(Reason::kChatInvalid, "chat.messages", "at least one message", "none");
  }
  if (chat.messages_size() > kMaxMessages) {
    return TooMany("chat.messages", kMaxMessages, chat.messages_size());
  }
  engine::ChatTemplate::Request request;
  request.messages = jinja::Json::array();
  for (int i = 0; i < chat.messages_size(); ++i) {
    CHORUS_ASSIGN_OR_RETURN(
        jinja::Json message,
        MessageOf(chat.messages(i), absl::StrCat("chat.messages[", i, "].extra_json")));
    request.messages.push_back(std::move(message));
  }
  if (!chat.tools_json().empty()) {
    CHORUS_ASSIGN_OR_RETURN(request.tools,
                            engine::ParseChatJson(chat.tools_json(), "chat.tools_json"));
    if (!request.tools->is_array()) {
      return Refuse(Reason::kJsonInvalid, "chat.tools_json", "a JSON list",
                    request.tools->type_name());
    }
  }
  if (!chat.template_arguments_json().empty()) {
    constexpr char kPlace[] = "chat.template_arguments_json";
    CHORUS_ASSIGN_OR_RETURN(request.arguments,
                            engine::ParseChatJson(chat.template_arguments_json(), kPlace));
    if (!request.arguments.is_object()) {
      return Refuse(Reason::kJsonInvalid, kPlace, "a JSON object", request.arguments.type_name());
    }
  }
  if (chat.has_add_generation_prompt()) {
    request.add_generation_prompt = chat.add_generation_prompt();
  }
  return request;
}

}  // namespace

std::string EngineRequestId(const std::string& tenant, const std::string& request_id) {
  return absl::StrCat(tenant, "/", request_id);
}

absl::StatusOr<BuiltRequest> RequestBuilder::Build(const v1::GenerateRequest& request,
                                                   const Principal& principal) const {
  BuiltRequest built;
  engine::GenerateRequest& spec = built.engine;
  if (request.model().empty()) {
    return Refuse(Reason::kModelEmpty, "model",
                  absl::StrCat(Quoted(model_->name), " or the name of an adapter"), "nothing");
  }
  if (request.model() != model_->name) {
    CHORUS_ASSIGN_OR_RETURN(spec.adapter, catalog_->Resolve(principal.tenant, request.model()));
  }
  CHORUS_RETURN_IF_ERROR(CheckRanges(request));
  CHORUS_RETURN_IF_ERROR(CheckLists(request, model_->vocabulary));
  CHORUS_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  CHORUS_ASSIGN_OR_RETURN(spec.prompt, PromptOf(request));

  const int64_t room = model_->config.max_positions - static_cast<int64_t>(spec.prompt.size());
  spec.max_tokens = request.has_max_tokens()
                        ? request.max_tokens()
                        : static_cast<int32_t>(std::clamp<int64_t>(room, 1, kDefaultMaxTokens));
  spec.tenant = principal.tenant;
  spec.cache_salt = request.cache_salt();
  spec.num_choices = request.has_n() ? request.n() : 1;
  spec.sampling = SamplingOf(request);
  spec.stop_token_ids.assign(request.stop_token_ids().begin(), request.stop_token_ids().end());
  spec.ignore_eos = request.ignore_eos();
  spec.priority = request.priority();
  if (request.has_timeout_ms()) {
    spec.deadline = clock_->Now() + absl::Milliseconds(request.timeout_ms());
  }

  built.answer.num_choices = spec.num_choices;
  built.answer.stops.assign(request.stop().begin(), request.stop().end());
  built.answer.logprobs = request.has_logprobs();
  built.answer.include_special_tokens = request.include_special_tokens();

  built.started.set_request_id(
      request.request_id().empty()
          ? absl::StrCat("gen-", absl::Hex(RandomNumber(), absl::kZeroPad16))
          : request.request_id());
  spec.request_id = EngineRequestId(principal.tenant, built.started.request_id());
  built.started.set_model(model_->name);
  if (spec.adapter != nullptr) {
    built.started.set_model(spec.adapter->name());
    built.started.set_adapter_digest(absl::StrCat("sha256:", spec.adapter->digest().Hex()));
    built.started.set_adapter_version(spec.adapter->version());
    if (!spec.adapter->invocation().empty()) {
      v1::Activation& activation = *built.started.mutable_activation();
      const std::optional<int64_t> from = engine::ActiveFrom(*spec.adapter, spec.prompt);
      if (from.has_value()) activation.set_position(static_cast<int32_t>(*from));
    }
  }
  return built;
}

absl::StatusOr<std::vector<int32_t>> RequestBuilder::PromptOf(
    const v1::GenerateRequest& request) const {
  std::vector<int32_t> ids;
  switch (request.prompt_case()) {
    case v1::GenerateRequest::kTokenIds:
      ids.assign(request.token_ids().ids().begin(), request.token_ids().ids().end());
      break;
    case v1::GenerateRequest::kText: {
      CHORUS_ASSIGN_OR_RETURN(ids, model_->tokenizer->Encode(request.text()));
      break;
    }
    case v1::GenerateRequest::kChat: {
      CHORUS_ASSIGN_OR_RETURN(const PlainSpecial::Unmarked rendered, Render(request.chat()));
      CHORUS_ASSIGN_OR_RETURN(ids, EncodeChat(rendered));
      break;
    }
    case v1::GenerateRequest::PROMPT_NOT_SET:
      break;
  }
  if (ids.empty()) {
    return Refuse(Reason::kPromptEmpty, "prompt", "at least one token", "none");
  }
  return ids;
}

absl::StatusOr<PlainSpecial::Unmarked> RequestBuilder::Render(const v1::Chat& chat) const {
  if (!model_->chat.has_value()) return model_->chat_problem;
  CHORUS_ASSIGN_OR_RETURN(engine::ChatTemplate::Request request, ChatOf(chat));
  if (!model_->plain_special.has_value()) {
    CHORUS_ASSIGN_OR_RETURN(std::string rendered, model_->chat->Render(request));
    return PlainSpecial::Unmarked{std::move(rendered), {}};
  }
  model_->plain_special->Mark(&request.messages);
  if (request.tools.has_value()) model_->plain_special->Mark(&*request.tools);
  CHORUS_ASSIGN_OR_RETURN(const std::string rendered, model_->chat->Render(request));
  return PlainSpecial::Unmark(rendered);
}

absl::StatusOr<std::vector<int32_t>> RequestBuilder::EncodeChat(
    const PlainSpecial::Unmarked& rendered) const {
  return model_->tokenizer->Encode(
      rendered.text, {.add_special_tokens = false, .plain_bytes = rendered.plain_bytes});
}

kernels::SamplingParams RequestBuilder::SamplingOf(const v1::GenerateRequest& request) const {
  const v1::Sampling& sampling = request.sampling();
  kernels::SamplingParams params;  // its defaults: plain sampling at temperature 1
  if (model_->defaults.has_value()) {
    const engine::GenerationDefaults& defaults = *model_->defaults;
    params.temperature =
        defaults.do_sample.value_or(false) ? defaults.temperature.value_or(1.0f) : 0.0f;
    params.top_k = defaults.top_k.value_or(params.top_k);
    params.top_p = defaults.top_p.value_or(params.top_p);
    params.min_p = defaults.min_p.value_or(params.min_p);
    params.repetition_penalty = defaults.repetition_penalty.value_or(params.repetition_penalty);
  }
  if (sampling.has_temperature()) params.temperature = sampling.temperature();
  if (sampling.has_top_k()) params.top_k = sampling.top_k();
  if (sampling.has_top_p()) params.top_p = sampling.top_p();
  if (sampling.has_min_p()) params.min_p = sampling.min_p();
  if (sampling.has_repetition_penalty()) params.repetition_penalty = sampling.repetition_penalty();
  if (sampling.has_presence_penalty()) params.presence_penalty = sampling.presence_penalty();
  if (sampling.has_frequency_penalty()) params.frequency_penalty = sampling.frequency_penalty();
  params.seed = sampling.has_seed() ? sampling.seed() : RandomNumber();
  for (const v1::LogitBias& bias : sampling.logit_bias()) {
    params.logit_bias.emplace_back(bias.token_id(), bias.bias());
  }
  if (request.has_logprobs()) params.num_logprobs = request.logprobs();
  return params;
}

absl::StatusOr<v1::TokenizeResponse> RequestBuilder::Tokenize(
    const v1::TokenizeRequest& request) const {
  v1::TokenizeResponse response;
  std::vector<int32_t> ids;
  if (request.has_chat()) {
    if (request.has_add_special_tokens()) {
      return Refuse(Reason::kConflictingFields, "add_special_tokens",
                    "unset for a chat, whose template writes them", "set");
    }
    CHORUS_ASSIGN_OR_RETURN(const PlainSpecial::Unmarked rendered, Render(request.chat()));
    response.set_rendered(rendered.text);
    CHORUS_ASSIGN_OR_RETURN(ids, EncodeChat(rendered));
  } else {
    const bool add = !request.has_add_special_tokens() || request.add_special_tokens();
    CHORUS_ASSIGN_OR_RETURN(ids,
                            model_->tokenizer->Encode(request.text(), {.add_special_tokens = add}));
  }
  for (const int32_t id : ids) {
    response.add_token_ids(id);
    response.add_token_bytes(model_->tokenizer->TokenBytes(id));
  }
  return response;
}

}  // namespace chorus::server
