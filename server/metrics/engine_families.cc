#include "server/metrics/engine_families.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/device/pool_view.h"
#include "server/metrics/family.h"

namespace chorus::server {
namespace {

using engine::AdapterResidency;
using engine::EngineStats;
using engine::ResidencyState;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricLabels VllmLabels(const MetricsOptions& options) {
  return {{"model_name", options.model_name}, {"engine", "0"}};
}

bool IsBusy(const AdapterResidency& adapter) {
  return adapter.running > 0 || adapter.waiting > 0 || adapter.pinned ||
         adapter.state != ResidencyState::kResident;
}

// The share of the pool that nothing can be evicted from: cached prefixes and idle adapters go when
// somebody needs their pages, so a router may count them as free.
double PoolUsage(const EngineStats& stats) {
  if (stats.pages_total <= 0) return 0.0;
  int64_t used = stats.pages_sequences + stats.pages_draining;
  for (const AdapterResidency& adapter : stats.adapters) {
    if (IsBusy(adapter)) used += adapter.pages;
  }
  const double share = static_cast<double>(used) / static_cast<double>(stats.pages_total);
  return std::clamp(share, 0.0, 1.0);
}

// Adapters in the order in which they get one of the few labels: those at work first.
std::vector<const AdapterResidency*> ByImportance(const EngineStats& stats) {
  std::vector<const AdapterResidency*> adapters;
  for (const AdapterResidency& adapter : stats.adapters) adapters.push_back(&adapter);
  const auto rank = [](const AdapterResidency* a) {
    return a->running > 0 ? 0 : a->waiting > 0 ? 1 : a->pinned ? 2 : 3;
  };
  std::sort(adapters.begin(), adapters.end(),
            [&](const AdapterResidency* a, const AdapterResidency* b) {
              if (rank(a) != rank(b)) return rank(a) < rank(b);
              if (a->name != b->name) return a->name < b->name;
              return a->version > b->version;
            });
  return adapters;
}

void AddRequests(const EngineStats& stats, const MetricsOptions& options, FamilyList* list) {
  const MetricLabels labels = VllmLabels(options);
  list->Gauge("vllm:num_requests_running", "Requests that run.",
              static_cast<double>(stats.requests_running), labels);
  list->Gauge("vllm:num_requests_waiting", "Requests that wait.",
              static_cast<double>(stats.requests_waiting), labels);
  list->Gauge("chorus_sequences_running", "Choices that run.",
              static_cast<double>(stats.sequences_running));
  list->Counter("vllm:num_preemptions_total", "Sequences put back for want of memory.",
                static_cast<double>(stats.preemptions), labels);
  list->Counter("chorus_early_aborts_total",
                "Requests refused because their first token was expected too late.",
                static_cast<double>(stats.early_aborts));
  constexpr const char* kReasons[] = {"rows", "adapters", "rank", "pages", "cluster"};
  static_assert(std::size(kReasons) == engine::kNumBlocked);
  MetricFamily blocked =
      MakeFamily(MetricType::Counter, "chorus_requests_blocked_total",
                 "Requests that had to wait, by what was short; once for each reason.");
  for (size_t i = 0; i < std::size(kReasons); ++i) {
    AddSeries(static_cast<double>(stats.blocked[i]), {{"reason", kReasons[i]}}, &blocked);
  }
  list->Append(std::move(blocked));
  list->Counter("chorus_stream_overflows_total",
                "Requests ended because their reader let too many tokens wait.",
                static_cast<double>(stats.slow_readers));
}

void AddPool(const EngineStats& stats, const MetricsOptions& options, FamilyList* list) {
  const MetricLabels labels = VllmLabels(options);
  list->Gauge("vllm:kv_cache_usage_perc",
              "Share of the pool (0 to 1) that cannot be had by evicting what is idle.",
              PoolUsage(stats), labels);
  MetricLabels info = labels;
  info.emplace_back("block_size", absl::StrCat(kernels::kPageTokens));
  info.emplace_back("num_gpu_blocks", absl::StrCat(stats.pages_total));
  list->Gauge("vllm:cache_config_info", "The pool: tokens of a page, and its pages.", 1.0, info);
  MetricFamily pages =
      MakeFamily(MetricType::Gauge, "chorus_pool_pages", "Pages of the pool by owner.");
  AddSeries(static_cast<double>(stats.pages_free), {{"owner", "free"}}, &pages);
  AddSeries(static_cast<double>(stats.pages_sequences), {{"owner", "sequences"}}, &pages);
  AddSeries(static_cast<double>(stats.pages_prefixes), {{"owner", "prefixes"}}, &pages);
  AddSeries(static_cast<double>(stats.pages_adapters), {{"owner", "adapters"}}, &pages);
  AddSeries(static_cast<double>(stats.pages_draining), {{"owner", "draining"}}, &pages);
  list->Append(std::move(pages));
  MetricFamily host = MakeFamily(MetricType::Gauge, "chorus_kv_host_pages",
                                 "Pages for KV outside the pool (--kv-host-bytes).");
  AddSeries(static_cast<double>(stats.host_pages_used), {{"state", "used"}}, &host);
  AddSeries(static_cast<double>(stats.host_pages_total - stats.host_pages_used),
            {{"state", "free"}}, &host);
  list->Append(std::move(host));
}

void AddWork(const EngineStats& stats, const MetricsOptions& options, FamilyList* list) {
  const MetricLabels labels = VllmLabels(options);
  list->Counter("vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.",
                static_cast<double>(stats.prompt_tokens_looked_up), labels);
  list->Counter("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.",
                static_cast<double>(stats.prompt_tokens_cached), labels);
  list->Counter("chorus_prefix_evictions_total", "Pages of cached prefixes evicted.",
                static_cast<double>(stats.prefix_evictions));
  list->Counter("chorus_kv_pages_saved_total", "Pages of KV saved on the host.",
                static_cast<double>(stats.pages_saved));
  list->Counter("chorus_kv_pages_restored_total",
                "Pages of KV brought back from the host instead of being computed again.",
                static_cast<double>(stats.pages_restored));
  list->Counter("chorus_engine_steps_total", "Steps computed.", static_cast<double>(stats.steps));
  list->Counter("chorus_engine_step_seconds_total", "Time spent in steps.", stats.step_seconds);
  list->Counter("chorus_engine_step_rows_total", "Tokens computed, summed over steps.",
                static_cast<double>(stats.step_rows));
  list->Counter("chorus_engine_step_pages_total", "Pages of KV read, summed over steps.",
                static_cast<double>(stats.step_pages));
  list->Counter("chorus_engine_step_adapters_total", "Distinct adapters, summed over steps.",
                static_cast<double>(stats.step_adapters));
  list->Counter("chorus_engine_step_ranks_total",
                "Ranks of a step's distinct adapters, the largest of each, summed over steps.",
                static_cast<double>(stats.step_ranks));
  list->Counter("chorus_engine_prompt_tokens_total",
                "Prompt tokens computed, again after a preemption too.",
                static_cast<double>(stats.prompt_tokens));
  list->Counter("chorus_engine_recomputed_tokens_total",
                "Tokens computed again because their sequence had been put back.",
                static_cast<double>(stats.recomputed_tokens));
  list->Counter("chorus_engine_generation_tokens_total",
                "Tokens drawn, with those that no client got.",
                static_cast<double>(stats.generation_tokens));
  list->Gauge("chorus_engine_failed", "1 when the device is lost.", stats.failed ? 1.0 : 0.0);
}

void AddAdapterTotals(const EngineStats& stats, FamilyList* list) {
  MetricFamily loads =
      MakeFamily(MetricType::Counter, "chorus_adapter_loads_total", "Adapter loads by result.");
  AddSeries(static_cast<double>(stats.adapter_loads), {{"result", "loaded"}}, &loads);
  AddSeries(static_cast<double>(stats.adapter_load_failures), {{"result", "failed"}}, &loads);
  list->Append(std::move(loads));
  list->Counter("chorus_adapter_evictions_total", "Adapters evicted from the pool.",
                static_cast<double>(stats.adapter_evictions));

  constexpr std::pair<ResidencyState, const char*> kStates[] = {
      {ResidencyState::kDisk, "wanted"},
      {ResidencyState::kLoading, "loading"},
      {ResidencyState::kResident, "resident"},
      {ResidencyState::kCancelling, "cancelling"}};
  MetricFamily states = MakeFamily(MetricType::Gauge, "chorus_adapters",
                                   "Adapters in the pool, on their way or wanted, by state.");
  for (const auto& [state, name] : kStates) {
    const auto count =
        std::count_if(stats.adapters.begin(), stats.adapters.end(), [s = state](const auto& a) {
          // For operators, what arrives is on its way like all that loads.
          return (a.state == ResidencyState::kArriving ? ResidencyState::kLoading : a.state) == s;
        });
    AddSeries(static_cast<double>(count), {{"state", name}}, &states);
  }
  list->Append(std::move(states));
}

// The gauge of the Gateway API's endpoint picker. One series: its labels are the news.
void AddLoraInfo(const EngineStats& stats, const MetricsOptions& options, absl::Time now,
                 FamilyList* list) {
  const auto most = static_cast<size_t>(std::max(options.max_adapter_labels, 0));
  std::set<std::string> running;  // in the pool and ready, idle ones too
  std::set<std::string> waiting;
  for (const AdapterResidency* adapter : ByImportance(stats)) {
    const bool ready = adapter->state == ResidencyState::kResident;
    if (ready && running.size() < most) running.insert(adapter->name);
    const bool wanted = adapter->running > 0 || adapter->waiting > 0;  // admitted, or still queued
    if (!ready && wanted && waiting.size() < most) waiting.insert(adapter->name);
  }
  list->Gauge("vllm:lora_requests_info",
              "Adapters in the pool and waited for; the value is the time of this answer.",
              absl::ToDoubleSeconds(now - absl::UnixEpoch()),
              {{"max_lora", absl::StrCat(options.max_step_adapters)},
               {"running_lora_adapters", absl::StrJoin(running, ",")},
               {"waiting_lora_adapters", absl::StrJoin(waiting, ",")}});
}

// What routers will read instead: one series for each adapter that is ready.
void AddLoadedAdapters(const EngineStats& stats, const MetricsOptions& options, FamilyList* list) {
  const MetricLabels labels = VllmLabels(options);
  MetricFamily loaded =
      MakeFamily(MetricType::Gauge, "vllm:lora_adapter_loaded",
                 "1 for an adapter in the pool. Level gpu: ready for the next step, whatever the "
                 "device is.");
  int64_t ready = 0;
  std::set<std::string> seen;
  for (const AdapterResidency* adapter : ByImportance(stats)) {
    if (adapter->state != ResidencyState::kResident) continue;
    ++ready;
    if (loaded.metric.size() >= static_cast<size_t>(std::max(options.max_adapter_labels, 0)) ||
        !seen.insert(adapter->name).second) {
      continue;
    }
    MetricLabels all = labels;
    all.emplace_back("adapter_name", adapter->name);
    all.emplace_back("level", "gpu");
    all.emplace_back("pinned", adapter->pinned ? "true" : "false");
    all.emplace_back("rank", absl::StrCat(adapter->max_rank));
    AddSeries(1.0, all, &loaded);
  }
  list->Append(std::move(loaded));
  list->Gauge("vllm:num_gpu_loaded_lora_adapters", "Adapters in the pool.",
              static_cast<double>(ready), labels);
  list->Gauge("vllm:num_cpu_loaded_lora_adapters", "Adapters in a host tier: there is none.", 0.0,
              labels);
  list->Gauge("vllm:max_gpu_lora_adapters", "Distinct adapters that one step takes.",
              options.max_step_adapters, labels);
}

}  // namespace

std::vector<MetricFamily> EngineFamilies(const EngineStats& stats, const MetricsOptions& options,
                                         absl::Time now) {
  FamilyList list;
  AddRequests(stats, options, &list);
  AddPool(stats, options, &list);
  AddWork(stats, options, &list);
  AddAdapterTotals(stats, &list);
  AddLoraInfo(stats, options, now, &list);
  AddLoadedAdapters(stats, options, &list);
  return list.Take();
}

}  // namespace chorus::server
