#include "bench/gpu/step_report.h"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace chorus::bench {
namespace {

constexpr const char* kSiteNames[] = {"qkv", "o", "gate_up", "down"};  // by DeviceSite

// Bytes per µs are MB/s.
double GbPerSecond(double bytes_per_us) { return bytes_per_us * 1e-3; }

Json CostJson(const StepCost& cost, const StepRates& rates) {
  return {{"weight_bytes", cost.weight_bytes},       {"kv_bytes", cost.kv_bytes},
          {"adapter_bytes", cost.adapter_bytes},     {"linear_flops", cost.linear_flops},
          {"attention_flops", cost.attention_flops}, {"adapter_flops", cost.adapter_flops},
          {"floor_us", FloorUs(cost, rates)}};
}

Json SideJson(const SideTimes& side, double floor_us) {
  const std::vector<double> us = side.device_us();
  const double median = Median(us);
  return {{"us", median},
          {"p10_us", Quantile(us, 0.1)},
          {"p90_us", Quantile(us, 0.9)},
          {"steps", us.size()},
          {"blocks_us", side.block_us},
          {"host_gap_us", Median(side.host_gap_us())},
          {"launches", side.launches},
          {"graph_replays", side.graph_replays},
          {"share", floor_us / median}};
}

Json LinearJson(const LinearRate& linear) {
  return {{"linear", linear.name},
          {"rows", linear.rows},
          {"outputs", linear.outputs},
          {"inputs", linear.inputs},
          {"us", linear.us},
          {"weight_gb_s", GbPerSecond(static_cast<double>(linear.weight_bytes()) / linear.us)},
          {"tflop_s", linear.flops() / linear.us * 1e-6}};
}

}  // namespace

Json ToJson(const StepCeilings& ceilings) {
  Json linears = Json::array();
  for (const LinearRate& linear : ceilings.linears) linears.push_back(LinearJson(linear));
  Json gathers = Json::array();
  for (const GatherRate& gather : ceilings.gathers) {
    gathers.push_back(
        {{"over_bytes", gather.over_bytes}, {"gb_s", GbPerSecond(gather.bytes_per_us)}});
  }
  return {{"read_gb_s", GbPerSecond(ceilings.read)},
          {"gathers", std::move(gathers)},
          {"copy_gb_s", GbPerSecond(ceilings.copy)},
          {"host_to_device_gb_s", GbPerSecond(ceilings.host_to_device)},
          {"host_to_device_64k_gb_s", GbPerSecond(ceilings.host_to_device_64k)},
          {"launch_us", ceilings.launch_us},
          {"tflop_s", ceilings.rates().flops_per_us * 1e-6},
          {"linears", std::move(linears)}};
}

Json ToJson(const ColdTimes& times) {
  const double copy_us = Median(times.copy_us);
  return {{"copies", times.copies},
          {"bytes", times.bytes},
          {"copy_us", copy_us},
          {"copy_gb_s", GbPerSecond(static_cast<double>(times.bytes) / copy_us)},
          {"copy_wall_us", Median(times.copy_wall_us)},
          {"warm_first_token_us", Median(times.warm_us)},
          {"cold_first_token_us", Median(times.cold_us)},
          {"by_layer_first_token_us", Median(times.by_layer_us)},
          {"delay_us", Median(times.cold_us) - Median(times.warm_us)},
          {"by_layer_delay_us", Median(times.by_layer_us) - Median(times.warm_us)}};
}

Json LoraJson(const StepCase& c, const LoraTimes& times, const StepRates& rates) {
  const auto share = [&](int64_t bytes, double us) {
    return static_cast<double>(bytes) / us / rates.bytes_per_us;
  };
  Json sites = Json::array();
  for (const LoraSiteTime& site : times.sites) {
    sites.push_back({{"site", kSiteNames[static_cast<size_t>(site.site)]},
                     {"us", site.us},
                     {"bytes", site.bytes},
                     {"share", share(site.bytes, site.us)}});
  }
  return {{"name", c.name},
          {"rows", c.rows()},
          {"adapters", c.used_adapters().size()},
          {"max_rank", *std::max_element(c.ranks.begin(), c.ranks.end())},
          {"us", times.us},
          {"plan_us", times.plan_us},
          {"bytes", times.bytes},
          {"share", share(times.bytes, times.us)},
          {"sites", std::move(sites)}};
}

Json ToJson(const kernels::DeviceInfo& info) {
  return {{"name", info.name},
          {"compute_capability", info.compute_capability},
          {"multiprocessors", info.multiprocessors},
          {"l2_bytes", info.l2_bytes},
          {"bytes", info.total_bytes}};
}

Json CaseJson(const StepModel& model, const StepCase& c, const StepRates& rates) {
  const Json base = CostJson(CostOf(model.config, WithoutAdapters(c)), rates);
  const Json adapters = CostJson(CostOf(model.config, c), rates);
  const auto longest = std::max_element(
      c.sequences.begin(), c.sequences.end(),
      [](const StepSequence& a, const StepSequence& b) { return a.context < b.context; });
  return {{"name", c.name},
          {"kind", c.decodes() ? "decode" : "prefill"},
          {"rows", c.rows()},
          {"sequences", c.sequences.size()},
          {"longest_context", longest->context},
          {"adapters", c.used_adapters().size()},
          {"in_slots", c.ranks.size()},
          {"max_rank", *std::max_element(c.ranks.begin(), c.ranks.end())},
          {"modules", c.attention_only ? "qkvo" : "all"},
          {"target", c.target},
          {"cost", {{"base", base}, {"with_adapters", adapters}}},
          {"floor_ratio", adapters["floor_us"].get<double>() / base["floor_us"].get<double>()}};
}

void AddTimes(const CaseTimes& times, Json* c) {
  const Json& cost = (*c)["cost"];
  const Json base = SideJson(times.base, cost["base"]["floor_us"].get<double>());
  const Json adapters = SideJson(times.adapters, cost["with_adapters"]["floor_us"].get<double>());
  (*c)["ratio"] = adapters["us"].get<double>() / base["us"].get<double>();
  (*c)["base_share"] = base["share"];
  (*c)["counts"] = base["share"].get<double>() >= kMinBaseShare;
  (*c)["base"] = base;
  (*c)["with_adapters"] = adapters;
}

std::string CaseHeading() {
  return absl::StrFormat("%-42s %9s %6s %9s %6s %6s %8s", "step (base, then with adapters)",
                         "base us", "share", "with us", "ratio", "floor", "gap us");
}

std::string CaseLine(const Json& c) {
  const std::string name = c["name"];
  if (c.contains("skipped")) {
    return absl::StrFormat("%-42s skipped: %s", name, c["skipped"].get<std::string>());
  }
  if (!c.contains("base")) {
    const Json& cost = c["cost"];
    return absl::StrFormat(
        "%-42s %9.1f %6s %9.1f %6s %6.3f %8s", name, cost["base"]["floor_us"].get<double>(), "-",
        cost["with_adapters"]["floor_us"].get<double>(), "-", c["floor_ratio"].get<double>(), "-");
  }
  const Json& base = c["base"];
  const Json& adapters = c["with_adapters"];
  return absl::StrFormat("%-42s %9.1f %5.1f%% %9.1f %6.3f %6.3f %8.1f%s", name,
                         base["us"].get<double>(), 100.0 * base["share"].get<double>(),
                         adapters["us"].get<double>(), c["ratio"].get<double>(),
                         c["floor_ratio"].get<double>(), adapters["host_gap_us"].get<double>(),
                         c["counts"].get<bool>() ? "" : "  (slow base: the ratio does not count)");
}

std::string CeilingsText(const Json& ceilings) {
  std::string text = absl::StrFormat(
      "GB/s: read %.0f, gather %.0f, copy %.0f, host to device %.1f, in pieces of 64 KiB %.1f; a "
      "launch in a graph %.2f us\n",
      ceilings["read_gb_s"].get<double>(), ceilings["gathers"].back()["gb_s"].get<double>(),
      ceilings["copy_gb_s"].get<double>(), ceilings["host_to_device_gb_s"].get<double>(),
      ceilings["host_to_device_64k_gb_s"].get<double>(), ceilings["launch_us"].get<double>());
  for (const Json& linear : ceilings["linears"]) {
    absl::StrAppendFormat(&text, "%-8s %4d rows %9.1f us  %7.0f GB/s of weights %7.1f TFLOP/s\n",
                          linear["linear"].get<std::string>(), linear["rows"].get<int>(),
                          linear["us"].get<double>(), linear["weight_gb_s"].get<double>(),
                          linear["tflop_s"].get<double>());
  }
  return text;
}

std::string LoraLine(const Json& c) {
  const std::string name = c["name"];
  if (c.contains("skipped")) {
    return absl::StrFormat("LoRA: %-36s skipped: %s", name, c["skipped"].get<std::string>());
  }
  std::string line =
      absl::StrFormat("LoRA: %-36s %9.1f us %5.1f%%, plan %.1f us;", name, c["us"].get<double>(),
                      100.0 * c["share"].get<double>(), c["plan_us"].get<double>());
  for (const Json& site : c["sites"]) {
    absl::StrAppendFormat(&line, " %s %.1f%%", site["site"].get<std::string>(),
                          100.0 * site["share"].get<double>());
  }
  return line;
}

absl::Status WriteJson(const std::string& path, const Json& json) {
  const std::string part = absl::StrCat(path, ".part");
  std::ofstream out(part);
  out << json.dump(1) << "\n";
  out.close();
  if (!out.good() || std::rename(part.c_str(), path.c_str()) != 0) {
    return absl::InternalError(absl::StrCat(path, ": cannot be written"));
  }
  return absl::OkStatus();
}

}  // namespace chorus::bench
