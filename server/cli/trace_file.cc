#include "server/cli/trace_file.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/status_macros.h"
#include "server/cli/input_file.h"
#include "server/cli/printable.h"

namespace chorus::cli {
namespace {

using nlohmann::json;

constexpr double kMaxSeconds = 365.0 * 24 * 3600;

absl::Status Expected(const std::string& what, const json& got) {
  return absl::InvalidArgumentError(absl::StrCat(
      "expected ", what, ", got ",
      Printable(got.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 200))));
}

absl::StatusOr<json> Field(const json& line, const char* name) {
  const auto found = line.find(name);
  if (found == line.end()) return Expected(absl::StrCat("a field \"", name, "\""), line);
  return *found;
}

absl::StatusOr<int32_t> IntegerIn(const json& line, const char* name, int32_t least) {
  CHORUS_ASSIGN_OR_RETURN(const json value, Field(line, name));
  // Unsigned ones of 2^63 and more turn negative.
  const int64_t integer = value.is_number_integer() ? value.get<int64_t>() : -1;
  if (integer < least || integer > INT32_MAX) {
    return Expected(absl::StrCat("\"", name, "\" to be an integer from ", least, " on"), value);
  }
  return static_cast<int32_t>(integer);
}

absl::StatusOr<TraceRequest> ParseLine(const std::string& text, absl::Duration not_before) {
  const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a JSON object, got ", Printable(text.substr(0, 200))));
  }
  TraceRequest request;
  CHORUS_ASSIGN_OR_RETURN(const json arrival, Field(line, "arrival"));
  const double seconds = arrival.is_number() ? arrival.get<double>() : -1.0;
  request.arrival = absl::Seconds(seconds);
  if (request.arrival < not_before || seconds > kMaxSeconds) {
    return Expected(absl::StrCat("\"arrival\" to be seconds from ",
                                 absl::ToDoubleSeconds(not_before), " to ", kMaxSeconds),
                    arrival);
  }
  CHORUS_ASSIGN_OR_RETURN(const json adapter, Field(line, "adapter"));
  if (!adapter.is_null()) {
    CHORUS_ASSIGN_OR_RETURN(request.adapter, IntegerIn(line, "adapter", 0));
  }
  CHORUS_ASSIGN_OR_RETURN(request.prompt_tokens, IntegerIn(line, "prompt", 1));
  CHORUS_ASSIGN_OR_RETURN(request.output_tokens, IntegerIn(line, "output", 1));
  if (const auto tenant = line.find("tenant"); tenant != line.end()) {
    if (!tenant->is_string()) return Expected("\"tenant\" to be a string", *tenant);
    request.tenant = tenant->get<std::string>();
  }
  return request;
}

}  // namespace

absl::StatusOr<std::vector<TraceRequest>> ReadTrace(const std::string& path) {
  CHORUS_RETURN_IF_ERROR(InputFile::Open(path).status());
  std::vector<TraceRequest> trace;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    absl::StatusOr<TraceRequest> request =
        ParseLine(line, trace.empty() ? absl::ZeroDuration() : trace.back().arrival);
    if (!request.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " line ", trace.size() + 1, ": ", request.status().message()));
    }
    trace.push_back(*std::move(request));
  }
  if (trace.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": no requests in it"));
  return trace;
}

}  // namespace chorus::cli
