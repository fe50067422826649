#include "bench/simulate/trace.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace chorus::bench {
namespace {

using nlohmann::json;

constexpr int64_t kMaxTokens = 1 << 30;

bool IsCount(const json& value, int64_t least) {
  return value.is_number_integer() && value.get<int64_t>() >= least &&
         value.get<int64_t>() <= kMaxTokens;
}

// What is wrong with a line; empty when nothing is.
std::string Fault(const json& line, double last_arrival) {
  if (!line.is_object()) return "expected an object";
  for (const char* name : {"arrival", "adapter", "prompt", "output", "tenant"}) {
    if (!line.contains(name)) return absl::StrCat("expected a field ", name);
  }
  if (!line["arrival"].is_number() || !(line["arrival"].get<double>() >= last_arrival)) {
    return absl::StrCat("arrival: expected seconds from ", json(last_arrival).dump(), " on, got ",
                        line["arrival"].dump());
  }
  if (!line["adapter"].is_null() && !IsCount(line["adapter"], 0)) {
    return absl::StrCat("adapter: expected null or an index, got ", line["adapter"].dump());
  }
  for (const char* name : {"prompt", "output"}) {
    if (!IsCount(line[name], 1)) {
      return absl::StrCat(name, ": expected at least 1, got ", line[name].dump());
    }
  }
  if (!line["tenant"].is_string()) {
    return absl::StrCat("tenant: expected a string, got ", line["tenant"].dump());
  }
  return "";
}

}  // namespace

int64_t Trace::num_adapters() const {
  int64_t most = -1;
  for (const TraceRequest& request : requests) most = std::max(most, request.adapter);
  return most + 1;
}

absl::StatusOr<Trace> ReadTrace(std::istream* lines) {
  Trace trace;
  absl::flat_hash_map<std::string, int32_t> tenants;
  double last_arrival = 0.0;
  std::string text;
  while (std::getline(*lines, text)) {
    const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (const std::string fault = Fault(line, last_arrival); !fault.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("trace line ", trace.requests.size() + 1, ": ", fault));
    }
    const std::string& tenant = line["tenant"].get_ref<const std::string&>();
    const auto [found, added] =
        tenants.try_emplace(tenant, static_cast<int32_t>(trace.tenants.size()));
    if (added) trace.tenants.push_back(tenant);
    last_arrival = line["arrival"].get<double>();
    trace.requests.push_back(
        {.arrival = last_arrival,
         .adapter = line["adapter"].is_null() ? -1 : line["adapter"].get<int64_t>(),
         .prompt = line["prompt"].get<int32_t>(),
         .output = line["output"].get<int32_t>(),
         .tenant = found->second});
  }
  if (trace.requests.empty()) return absl::InvalidArgumentError("trace: expected lines, got none");
  return trace;
}

}  // namespace chorus::bench
