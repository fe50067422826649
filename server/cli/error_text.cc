#include "server/cli/error_text.h"

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/cli/printable.h"
#include "server/cli/units.h"

namespace chorus::cli {
namespace {

using v1::ErrorDetail;

absl::string_view AdviceFor(ErrorDetail::Reason reason) {
  switch (reason) {
    case ErrorDetail::MODEL_EMPTY:
      return "name the model with --model; chorus status shows the base's name";
    case ErrorDetail::ADAPTER_NOT_FOUND:
      return "chorus adapters list shows the adapters, chorus status the base's name";
    case ErrorDetail::PROMPT_TOO_LONG:
    case ErrorDetail::MAX_TOKENS_TOO_LARGE:
      return "chorus status shows the context, chorus tokenize how long a prompt is";
    case ErrorDetail::CHAT_UNAVAILABLE:
      return "send plain text, or start chorusd with --chat-template FILE";
    case ErrorDetail::VERSION_MISMATCH:
    case ErrorDetail::ALREADY_EXISTS:
      return "chorus adapters get NAME shows the version";
    case ErrorDetail::SIZE_MISMATCH:
    case ErrorDetail::DIGEST_MISMATCH:
      return "did the files change while they were sent?";
    case ErrorDetail::ADAPTER_DAMAGED:
      return "upload the adapter again";
    case ErrorDetail::STORE_FULL:
      return "delete adapters, or give the store more room";
    case ErrorDetail::POOL_TOO_SMALL:
      return "start chorusd with a larger --pool-bytes";
    case ErrorDetail::PIN_BUDGET:
      return "unpin another adapter first";
    default:
      return "";
  }
}

std::string Advice(const ErrorDetail& detail) {
  std::string advice(AdviceFor(detail.reason()));
  if (detail.retry_after_ms() > 0) {
    absl::StrAppend(&advice, advice.empty() ? "" : "; ", "try again in ",
                    DurationText(absl::Milliseconds(detail.retry_after_ms())));
  }
  return advice;
}

// What stood between us and the server. gRPC wraps why it could not connect in the story of its
// attempts: "…; last error: UNKNOWN: …: REASON"; anything else broke a connection that was there.
std::string ConnectionProblem(const std::string& message, const std::string& address) {
  static constexpr absl::string_view kLast = "last error: ";
  const size_t at = absl::string_view(message).rfind(kLast);
  if (at == absl::string_view::npos) {
    return absl::StrCat("lost the server at ", address, ": ", message);
  }
  const std::string last = message.substr(at + kLast.size());
  const size_t colon = last.rfind(": ");
  return absl::StrCat("cannot reach the server at ", address, ": ",
                      colon == std::string::npos ? last : last.substr(colon + 2));
}

std::string ReasonText(const grpc::Status& status, const std::optional<ErrorDetail>& detail) {
  const std::string code = CodeName(status.error_code());
  if (!detail.has_value() || detail->reason() == ErrorDetail::UNSPECIFIED) return code;
  const std::string name = ErrorDetail::Reason_IsValid(detail->reason())
                               ? ErrorDetail::Reason_Name(detail->reason())
                               : absl::StrCat("reason ", static_cast<int>(detail->reason()));
  return name == code ? code : absl::StrCat(name, " (", code, ")");
}

}  // namespace

std::optional<ErrorDetail> DetailOf(const grpc::Status& status) {
  v1::Status packed;
  if (status.error_details().empty() || !packed.ParseFromString(status.error_details())) {
    return std::nullopt;
  }
  for (const v1::PackedDetail& part : packed.details()) {
    ErrorDetail detail;
    if (absl::EndsWith(part.type_url(), "/chorus.v1.ErrorDetail") &&
        detail.ParseFromString(part.value())) {
      return detail;
    }
  }
  return std::nullopt;
}

ExitCode ExitCodeOf(const grpc::Status& status) {
  const bool unreachable =
      status.error_code() == grpc::StatusCode::UNAVAILABLE && !DetailOf(status).has_value();
  return unreachable ? ExitCode::kUnreachable : ExitCode::kRefused;
}

std::string CodeName(grpc::StatusCode code) {
  static constexpr absl::string_view kNames[] = {"OK",
                                                 "CANCELLED",
                                                 "UNKNOWN",
                                                 "INVALID_ARGUMENT",
                                                 "DEADLINE_EXCEEDED",
                                                 "NOT_FOUND",
                                                 "ALREADY_EXISTS",
                                                 "PERMISSION_DENIED",
                                                 "RESOURCE_EXHAUSTED",
                                                 "FAILED_PRECONDITION",
                                                 "ABORTED",
                                                 "OUT_OF_RANGE",
                                                 "UNIMPLEMENTED",
                                                 "INTERNAL",
                                                 "UNAVAILABLE",
                                                 "DATA_LOSS",
                                                 "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? std::string(kNames[index]) : absl::StrCat("code ", index);
}

std::string ErrorLine(const grpc::Status& status, const std::string& address) {
  if (ExitCodeOf(status) == ExitCode::kUnreachable) {
    return Printable(ConnectionProblem(status.error_message(), address));
  }
  if (status.error_message().empty()) return ReasonText(status, DetailOf(status));
  return Printable(status.error_message());
}

std::string ErrorText(const grpc::Status& status, const std::string& address) {
  if (ExitCodeOf(status) == ExitCode::kUnreachable) {
    return absl::StrCat(
        ErrorLine(status, address),
        "\n  hint      is chorusd running there? --server HOST:PORT names another\n");
  }
  const std::optional<ErrorDetail> detail = DetailOf(status);
  const bool in_parts = detail.has_value() && !detail->object().empty() &&
                        !(detail->expected().empty() && detail->got().empty());
  std::string text = absl::StrCat(
      "refused: ", in_parts ? Printable(detail->object()) : ErrorLine(status, address), "\n");
  const auto add = [&text](absl::string_view name, absl::string_view value) {
    if (value.empty()) return;
    absl::StrAppend(&text, "  ", name, std::string(10 - name.size(), ' '), Printable(value), "\n");
  };
  if (in_parts) {
    add("expected", detail->expected());
    add("got", detail->got());
  }
  add("reason", ReasonText(status, detail));
  if (detail.has_value()) add("hint", Advice(*detail));
  return text;
}

nlohmann::ordered_json ErrorJson(const grpc::Status& status) {
  nlohmann::ordered_json json;
  json["code"] = CodeName(status.error_code());
  json["message"] = status.error_message();
  if (const std::optional<ErrorDetail> detail = DetailOf(status)) {
    json["reason"] = ErrorDetail::Reason_Name(detail->reason());
    json["object"] = detail->object();
    json["expected"] = detail->expected();
    json["got"] = detail->got();
    json["retry_after_ms"] = detail->retry_after_ms();
  }
  return json;
}

ExitCode ReportError(const Console& console, const grpc::Status& status, const std::string& address,
                     const std::string& subject) {
  console.err->Write(absl::StrCat("chorus: ", Printable(subject), subject.empty() ? "" : ": ",
                                  ErrorText(status, address)));
  return ExitCodeOf(status);
}

void ReportProblems(const std::map<std::string, int64_t>& problems, const Console& console) {
  constexpr size_t kShown = 5;
  size_t shown = 0;
  for (const auto& [problem, count] : problems) {
    if (++shown > kShown) {
      console.err->Write(
          absl::StrCat("chorus: … and ", problems.size() - kShown, " other errors\n"));
      return;
    }
    console.err->Write(absl::StrCat("chorus: ", count, " times ", Printable(problem), "\n"));
  }
}

}  // namespace chorus::cli
