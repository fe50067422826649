#include "bench/simulate/scenario.h"

#include <functional>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/status_macros.h"

namespace chorus::bench {
namespace {

using nlohmann::json;

absl::Status Expected(const std::string& field, const std::string& expected, const json& got) {
  return absl::InvalidArgumentError(
      absl::StrCat("scenario: ", field, ": expected ", expected, ", got ", got.dump()));
}

// Reads one field's value into its place.
using Reader = std::function<absl::Status(const std::string& field, const json& value)>;

Reader Integer(int64_t least, std::function<void(int64_t)> set) {
  return [=](const std::string& field, const json& value) {
    if (!value.is_number_integer() || value.get<int64_t>() < least) {
      return Expected(field, absl::StrCat("an integer from ", least, " on"), value);
    }
    set(value.get<int64_t>());
    return absl::OkStatus();
  };
}

Reader Int32(int32_t least, int32_t* place) {
  return Integer(least, [place](int64_t value) { *place = static_cast<int32_t>(value); });
}

Reader Number(double least, double* place) {
  return [=](const std::string& field, const json& value) {
    if (!value.is_number() || !(value.get<double>() >= least)) {
      return Expected(field, absl::StrCat("a number from ", least, " on"), value);
    }
    *place = value.get<double>();
    return absl::OkStatus();
  };
}

Reader Flag(bool* place) {
  return [=](const std::string& field, const json& value) {
    if (!value.is_boolean()) return Expected(field, "true or false", value);
    *place = value.get<bool>();
    return absl::OkStatus();
  };
}

template <typename T>
Reader Choice(std::map<std::string, T> known, T* place) {
  return [=](const std::string& field, const json& value) {
    const auto found = value.is_string() ? known.find(value.get<std::string>()) : known.end();
    if (found == known.end()) {
      std::string names;
      for (const auto& [name, unused] : known) {
        absl::StrAppend(&names, names.empty() ? "" : " or ", name);
      }
      return Expected(field, names, value);
    }
    *place = found->second;
    return absl::OkStatus();
  };
}

using Fields = std::map<std::string, Reader>;

// Every field of `object` must be known.
absl::Status ReadFields(const std::string& name, const json& object, const Fields& fields) {
  if (!object.is_object()) return Expected(name, "an object", object);
  for (const auto& [key, value] : object.items()) {
    const std::string field = name.empty() ? key : absl::StrCat(name, ".", key);
    const auto reader = fields.find(key);
    if (reader == fields.end()) return Expected(field, "no such field", value);
    CHORUS_RETURN_IF_ERROR(reader->second(field, value));
  }
  return absl::OkStatus();
}

Reader Object(Fields fields) {
  return [fields = std::move(fields)](const std::string& field, const json& value) {
    return ReadFields(field, value, fields);
  };
}

Fields EngineFields(engine::EngineOptions* options) {
  using engine::AdmissionMode;
  return {
      {"admission", Choice<AdmissionMode>({{"optimistic", AdmissionMode::kOptimistic},
                                           {"expected", AdmissionMode::kExpected},
                                           {"conservative", AdmissionMode::kConservative}},
                                          &options->admission)},
      {"max_running", Int32(1, &options->max_running)},
      {"max_step_tokens", Int32(1, &options->max_step_tokens)},
      {"max_prefill_chunk", Int32(1, &options->max_prefill_chunk)},
      {"max_step_adapters", Int32(1, &options->max_step_adapters)},
      {"max_step_rank_sum", Int32(1, &options->max_step_rank_sum)},
      {"max_overtakes", Int32(0, &options->max_overtakes)},
      {"cluster_adapters", Int32(0, &options->cluster_adapters)},
      {"first_token_limit_ms", Int32(0, &options->first_token_limit_ms)},
      {"early_abort", Flag(&options->early_abort)},
      {"admission_watermark", Number(0.0, &options->admission_watermark)},
      {"pin_budget", Number(0.0, &options->pin_budget)},
      {"prefix_cache", Flag(&options->prefix_cache)},
      {"reclaim_policy", Choice<engine::ReclaimPolicy>({{"cost", engine::ReclaimPolicy::kCost},
                                                        {"lru", engine::ReclaimPolicy::kLru}},
                                                       &options->reclaim_policy)},
      {"cache_idle_adapters", Flag(&options->cache_idle_adapters)},
      {"prefetch_adapters", Flag(&options->prefetch_adapters)},
      {"adapter_pool_share", Number(0.0, &options->adapter_pool_share)},
      {"max_loads", Int32(1, &options->max_loads)},
  };
}

Reader Ranks(std::vector<int32_t>* place) {
  return [=](const std::string& field, const json& value) {
    std::vector<int32_t> ranks;
    for (const json& rank : value) {
      if (!rank.is_number_integer() || rank.get<int64_t>() < 1 ||
          rank.get<int64_t>() > kernels::kMaxLoraRank) {
        return Expected(field, absl::StrCat("ranks from 1 to ", kernels::kMaxLoraRank), value);
      }
      ranks.push_back(rank.get<int32_t>());
    }
    if (!value.is_array() || ranks.empty()) return Expected(field, "an array of ranks", value);
    *place = std::move(ranks);
    return absl::OkStatus();
  };
}

}  // namespace

absl::StatusOr<Scenario> ParseScenario(const json& text) {
  if (!text.is_object() || !text.contains("machine") || !text["machine"].is_string()) {
    return Expected("machine", "a name", text.is_object() ? text.value("machine", json()) : text);
  }
  Scenario scenario;
  FleetOptions& fleet = scenario.fleet;
  CHORUS_ASSIGN_OR_RETURN(fleet.machine, FindMachine(text["machine"].get<std::string>()));
  std::string router;
  const auto text_of = [](std::string* place) -> Reader {
    return [=](const std::string& field, const json& value) {
      if (!value.is_string()) return Expected(field, "a string", value);
      *place = value.get<std::string>();
      return absl::OkStatus();
    };
  };
  const Fields fields = {
      {"machine", [](const std::string&, const json&) { return absl::OkStatus(); }},
      {"pool_pages", Integer(1, [&](int64_t pages) { fleet.machine.pool_pages = pages; })},
      {"trace", text_of(&scenario.trace)},
      {"adapters", Object({{"ranks", Ranks(&fleet.ranks)},
                           {"modules", Choice<bool>({{"qkvo", true}, {"all", false}},
                                                    &fleet.attention_only)}})},
      {"engine", Object(EngineFields(&fleet.engine))},
      {"replicas", Int32(1, &fleet.replicas)},
      {"router", text_of(&router)},
      {"load_bound", Number(1.0, &fleet.load_bound)},
      {"seed", Integer(0, [&](int64_t seed) { fleet.seed = static_cast<uint64_t>(seed); })},
      {"first_token_limit_s", Number(0.0, &fleet.first_token_limit_s)},
      {"max_tokens", Int32(0, &fleet.max_tokens)},
  };
  CHORUS_RETURN_IF_ERROR(ReadFields("", text, fields));
  if (!router.empty()) {
    CHORUS_ASSIGN_OR_RETURN(fleet.router, ParseRoutePolicy(router));
  }
  if (scenario.trace.empty())
    return Expected("trace", "a file's path", text.value("trace", json()));
  return scenario;
}

}  // namespace chorus::bench
