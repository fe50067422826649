#include "server/cli/tokenize_command.h"

#include <grpcpp/grpcpp.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "chorus/v1/inference.grpc.pb.h"
#include "server/cli/answer_json.h"
#include "server/cli/connection.h"
#include "server/cli/error_text.h"
#include "server/cli/printable.h"
#include "server/cli/prompt.h"

namespace chorus::cli {
namespace {

std::string TokensJson(const v1::TokenizeResponse& response) {
  nlohmann::ordered_json json = {{"token_ids", nlohmann::ordered_json::array()},
                                 {"token_bytes", nlohmann::ordered_json::array()}};
  for (const int32_t id : response.token_ids()) json["token_ids"].push_back(id);
  for (const std::string& bytes : response.token_bytes()) {
    nlohmann::ordered_json numbers = nlohmann::ordered_json::array();
    for (const char byte : bytes) numbers.push_back(static_cast<unsigned char>(byte));
    json["token_bytes"].push_back(std::move(numbers));
  }
  if (!response.rendered().empty()) json["rendered"] = response.rendered();
  return JsonLine(json);
}

std::string TokensText(const v1::TokenizeResponse& response) {
  std::string text;
  for (int i = 0; i < response.token_ids_size(); ++i) {
    absl::StrAppendFormat(&text, "%8d  %s\n", response.token_ids(i),
                          i < response.token_bytes_size() ? Quoted(response.token_bytes(i)) : "");
  }
  return text;
}

}  // namespace

ExitCode RunTokenizeCommand(const Args& args, const Console& console) {
  OptionSet set("chorus tokenize [flags] TEXT",
                "Shows the tokens that the model sees for TEXT (\"-\" or nothing: standard input).",
                0, 1);
  ServerOption server;
  bool chat = false;
  std::string system;
  bool no_special_tokens = false;
  bool ids = false;
  bool json = false;
  server.AddTo(&set);
  set.AddSwitch("--chat", "TEXT is a user's message, rendered by the chat template", &chat);
  set.Add("--system", "TEXT", "a system message before it; implies --chat", &system);
  set.AddSwitch("--no-special-tokens", "adds none at the beginning and the end",
                &no_special_tokens);
  set.AddSwitch("--ids", "prints only the ids, as --token-ids takes them", &ids);
  set.AddSwitch("--json", "prints a JSON object", &json);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;
  const absl::StatusOr<std::string> text = ReadPrompt(parsed.words, console);
  if (!text.ok()) return UsageError(console, "chorus tokenize", text.status().message());

  v1::TokenizeRequest request;
  if (chat || !system.empty()) {
    *request.mutable_chat() = MakeChat(system, *text);
  } else {
    request.set_text(*text);
  }
  if (no_special_tokens) request.set_add_special_tokens(false);
  v1::TokenizeResponse response;
  grpc::ClientContext context;
  SetTimeout(&context, kQuickCall);
  const grpc::Status status =
      v1::Inference::NewStub(Connect(server.address))->Tokenize(&context, request, &response);
  if (!status.ok()) return ReportError(console, status, server.address);
  if (json) {
    console.out->Write(TokensJson(response));
  } else if (ids) {
    console.out->Write(absl::StrCat(absl::StrJoin(response.token_ids(), ","), "\n"));
  } else {
    console.out->Write(TokensText(response));
    console.err->Write(absl::StrCat(response.token_ids_size(), " tokens\n"));
  }
  return ExitCode::kOk;
}

}  // namespace chorus::cli
