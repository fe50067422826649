#include "server/metrics/adapter_usage.h"

#include <algorithm>

#include "server/metrics/family.h"

namespace chorus::server {
namespace {

constexpr char kOther[] = "other";

}  // namespace

AdapterUsageTable::AdapterUsageTable(int max_labels)
    : max_labels_(static_cast<size_t>(std::max(max_labels, 0))),
      other_(std::make_shared<AdapterUsage>()) {}

std::shared_ptr<AdapterUsage> AdapterUsageTable::Use(const std::string& tenant,
                                                     const std::string& adapter, absl::Time now) {
  kernels::MutexLock lock(&mutex_);
  const Key key(tenant, adapter);
  auto it = entries_.find(key);
  if (it == entries_.end()) {
    if (entries_.size() >= max_labels_ && !MakeRoom(now)) return other_;
    it = entries_.emplace(key, Entry{std::make_shared<AdapterUsage>(), now}).first;
  }
  it->second.last_use = std::max(it->second.last_use, now);
  return it->second.usage;
}

bool AdapterUsageTable::MakeRoom(absl::Time now) {
  auto oldest = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    const bool held = it->second.usage.use_count() > 1;  // by a request under way
    if (held || now - it->second.last_use < kIdle) continue;
    if (oldest == entries_.end() || it->second.last_use < oldest->second.last_use) oldest = it;
  }
  if (oldest == entries_.end()) return false;
  entries_.erase(oldest);
  return true;
}

std::vector<prometheus::MetricFamily> AdapterUsageTable::Collect() const {
  using prometheus::MetricType;
  std::vector<prometheus::MetricFamily> families = {
      MakeFamily(MetricType::Counter, "chorus_adapter_requests_total",
                 "Requests admitted, by adapter."),
      MakeFamily(MetricType::Counter, "chorus_adapter_prompt_tokens_total",
                 "Prompt tokens of admitted requests, by adapter."),
      MakeFamily(MetricType::Counter, "chorus_adapter_generation_tokens_total",
                 "Tokens generated for clients, by adapter."),
  };
  const auto add = [&](const std::string& tenant, const std::string& adapter,
                       const AdapterUsage& usage) {
    const MetricLabels labels = {{"tenant", tenant}, {"adapter", adapter}};
    AddSeries(static_cast<double>(usage.requests.load()), labels, &families[0]);
    AddSeries(static_cast<double>(usage.prompt_tokens.load()), labels, &families[1]);
    AddSeries(static_cast<double>(usage.generation_tokens.load()), labels, &families[2]);
  };
  kernels::MutexLock lock(&mutex_);
  for (const auto& [key, entry] : entries_) add(key.first, key.second, *entry.usage);
  // No tenant has an empty name, so this is nobody's adapter "other".
  add("", kOther, *other_);
  return families;
}

}  // namespace chorus::server
