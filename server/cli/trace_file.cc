#include "server/cli/trace_file.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "server/cli/input_file.h"
#include "server/cli/printable.h"

namespace chorus::cli {
namespace {

using nlohmann::json;

std::optional<int32_t> IntegerIn(const json& object, const char* name, int32_t least) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  const bool fits = found->is_number_unsigned() ? found->get<uint64_t>() <= INT32_MAX
                                                : found->get<int64_t>() >= least;
  if (!fits || found->get<int64_t>() < least) return std::nullopt;
  return found->get<int32_t>();
}

// nullopt: no request.
std::optional<TraceRequest> ParseLine(const std::string& line, absl::Duration not_before) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return std::nullopt;
  TraceRequest request;
  const auto arrival = object.find("arrival");
  if (arrival == object.end() || !arrival->is_number()) return std::nullopt;
  request.arrival = absl::Seconds(arrival->get<double>());
  if (!(request.arrival >= not_before) || request.arrival > absl::Hours(24 * 365)) {
    return std::nullopt;
  }
  const auto adapter = object.find("adapter");
  if (adapter == object.end()) return std::nullopt;
  if (!adapter->is_null()) {
    request.adapter = IntegerIn(object, "adapter", 0);
    if (!request.adapter) return std::nullopt;
  }
  const auto prompt = IntegerIn(object, "prompt", 1);
  const auto output = IntegerIn(object, "output", 1);
  if (!prompt || !output) return std::nullopt;
  request.prompt_tokens = *prompt;
  request.output_tokens = *output;
  if (const auto tenant = object.find("tenant"); tenant != object.end()) {
    if (!tenant->is_string()) return std::nullopt;
    request.tenant = tenant->get<std::string>();
  }
  return request;
}

}  // namespace

absl::StatusOr<std::vector<TraceRequest>> ReadTrace(const std::string& path) {
  const absl::StatusOr<InputFile> readable = InputFile::Open(path);
  if (!readable.ok()) return readable.status();
  std::vector<TraceRequest> trace;
  std::ifstream file(path);
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    std::optional<TraceRequest> request =
        ParseLine(line, trace.empty() ? absl::ZeroDuration() : trace.back().arrival);
    if (!request) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, " line ", number,
          ": expected {\"arrival\": seconds, not before the line above, \"adapter\": an index or "
          "null, \"prompt\": tokens, \"output\": tokens, \"tenant\": a name or none}, got ",
          Printable(line.substr(0, 200))));
    }
    trace.push_back(*std::move(request));
  }
  if (trace.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": no requests in it"));
  return trace;
}

}  // namespace chorus::cli
