#include "server/config/options.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "kernels/lora/tiles.h"
#include "server/config/option_kinds.h"
#include "server/config/option_sizes.h"

namespace chorus::server {
namespace {

constexpr int64_t kKiB = int64_t{1} << 10;
constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kTiB = int64_t{1} << 40;

using Table = std::vector<Option>;

bool IsDeviceSpec(std::string_view text) {
  if (text == "auto" || text == "cpu" || text == "cuda") return true;
  const std::string_view number = text.substr(0, 5) == "cuda:" ? text.substr(5) : "";
  return !number.empty() && number.size() <= 4 &&
         number.find_first_not_of("0123456789") == std::string_view::npos;
}

void AddModel(Table* table) {
  const std::string group = "Model";
  table->push_back(StringOption(
      {"model", group, "DIR", "Directory of a Hugging Face model; required."},
      [](auto& c) -> auto& { return c.model; }));
  table->push_back(StringOption(
      {"served_model_name", group, "NAME", "What requests for the base model call it.",
       "the last part of --model"},
      [](auto& c) -> auto& { return c.served_model_name; }));
  table->push_back(ChoiceOption({"dtype", group, "TYPE",
                                 "Type in which weights, KV and adapters are kept and computed. "
                                 "auto: the model's own, on the CPU of bf16 and f32, else f32, on a "
                                 "GPU of bf16 and f16, else bf16."},
                                [](auto& c) -> auto& { return c.dtype; },
                                {"auto", "bf16", "f16", "f32"}));
  table->push_back(FormOption(
      {"device", group, "DEVICE",
       "Where the model runs. auto: the first usable GPU, or the CPU where "
       "there is none; a GPU that cannot be used is an error."},
      [](auto& c) -> auto& { return c.device; }, "auto, cpu, cuda, cuda:N", IsDeviceSpec));
  table->push_back(ChoiceOption({"generation_config", group, "SOURCE",
                                 "Sampling of requests that leave it open. auto: the model's "
                                 "generation_config.json; none: temperature 1."},
                                [](auto& c) -> auto& { return c.generation_config; },
                                {"auto", "none"}));
  table->push_back(StringOption(
      {"chat_template", group, "FILE", "Chat template (Jinja) to use instead of the model's own."},
      [](auto& c) -> auto& { return c.chat_template; }));
  table->push_back(SwitchOption(
      {"isolate_special_tokens", group, "",
       "Text of special tokens inside chat messages stays plain text."},
      [](auto& c) -> auto& { return c.isolate_special_tokens; }));
}

void AddAddresses(Table* table) {
  const std::string group = "Addresses";
  table->push_back(StringOption(
      {"listen", group, "ADDRESS",
       "Where gRPC is served: HOST:PORT of this machine alone (port 0: "
       "any free one), or unix:PATH."},
      [](auto& c) -> auto& { return c.listen; }));
  table->push_back(StringOption(
      {"metrics_listen", group, "ADDRESS",
       "Where GET /metrics is answered: HOST:PORT of this machine "
       "alone (port 0: any free one), or none."},
      [](auto& c) -> auto& { return c.metrics_listen; }));
  table->push_back(StringOption(
      {"port_file", group, "FILE", "File to write once the server is ready, with its ports."},
      [](auto& c) -> auto& { return c.port_file; }));
}

void AddMemory(Table* table) {
  const std::string group = "Memory and compute";
  table->push_back(OptionalBytesOption(
      {"pool_bytes", group, "SIZE", "Memory for KV and adapters together.",
       absl::StrCat(FormatByteSize(engine::MemoryOptions::kCpuPoolBytes),
                    " on the CPU, on a GPU what is left")},
      [](auto& c) -> auto& { return c.memory.pool_bytes; }, kMiB, 16 * kTiB));
  table->push_back(ShareOption(
      {"device_memory_fraction", group, "SHARE",
       "Share of a GPU's memory that is in use when --pool-bytes is left open."},
      [](auto& c) -> auto& { return c.memory.device_fraction; }));
  table->push_back(BytesOption(
      {"adapter_host_bytes", group, "SIZE",
       "Pinned memory of the host that keeps adapters ready for a GPU."},
      [](auto& c) -> auto& { return c.memory.adapter_host_bytes; }, kMiB, 16 * kTiB));
  table->push_back(BytesOption(
      {"kv_host_bytes", group, "SIZE",
       "Memory outside the pool for KV that has to leave it, pinned for a GPU: brought back where "
       "that is faster than computing it again."},
      [](auto& c) -> auto& { return c.memory.kv_host_bytes; }, 0, 16 * kTiB));
  table->push_back(IntOption(
      {"threads", group, "N", "Compute threads. 0: one for each processor."},
      [](auto& c) -> auto& { return c.threads; }, 0, 1024));
}

void AddAdapters(Table* table) {
  const std::string group = "Adapters";
  table->push_back(StringOption(
      {"store", group, "DIR",
       "Directory that keeps uploaded adapters; made when it is not "
       "there."},
      [](auto& c) -> auto& { return c.store; }));
  table->push_back(SwitchOption(
      {"allow_volatile_store", group, "",
       "Accept a store on tmpfs or overlayfs, which a restart may "
       "empty."},
      [](auto& c) -> auto& { return c.allow_volatile_store; }));
  table->push_back(BytesOption(
      {"max_adapter_bytes", group, "SIZE", "Largest adapter_model.safetensors that is accepted."},
      [](auto& c) -> auto& { return c.catalog.max_tensor_bytes; }, kKiB, kTiB));
  table->push_back(IntOption(
      {"max_uploads", group, "N", "Uploads at one time."},
      [](auto& c) -> auto& { return c.catalog.max_uploads; }, 1, 1024));
}

void AddAdmission(Table* table) {
  const std::string group = "Scheduling";
  table->push_back(ChoiceOption({"admission", group, "MODE",
                                 "optimistic: start while the prompt fits; expected: while all "
                                 "should fit to their ends, as answers were lately; conservative: "
                                 "only what is sure to."},
                                [](auto& c) -> auto& { return c.engine.admission; },
                                {"optimistic", "expected", "conservative"}));
  table->push_back(IntOption(
      {"max_running", group, "N", "Sequences that run at one time; at most --max-step-tokens."},
      [](auto& c) -> auto& { return c.engine.max_running; }, 1, 4096));
  table->push_back(IntOption(
      {"max_step_tokens", group, "N", "Tokens computed in one step."},
      [](auto& c) -> auto& { return c.engine.max_step_tokens; }, 1, 65536));
  table->push_back(IntOption(
      {"max_prefill_chunk", group, "N", "Prompt tokens of one sequence in one step."},
      [](auto& c) -> auto& { return c.engine.max_prefill_chunk; }, 1, 65536));
  table->push_back(IntOption(
      {"max_step_adapters", group, "N", "Distinct adapters in one step."},
      [](auto& c) -> auto& { return c.engine.max_step_adapters; }, 1, 4096));
  table->push_back(IntOption(
      {"max_step_rank_sum", group, "N", "Sum of the ranks of the adapters in one step."},
      [](auto& c) -> auto& { return c.engine.max_step_rank_sum; }, kernels::kMaxLoraRank, 1 << 20));
  table->push_back(IntOption(
      {"max_waiting", group, "N", "Requests that may wait; further ones are refused."},
      [](auto& c) -> auto& { return c.engine.max_waiting; }, 0, 1 << 20));
}

void AddFairness(const std::string& group, Table* table) {
  table->push_back(IntOption(
      {"cluster_adapters", group, "N",
       "From so many distinct adapters on, requests for those in use go first. 0: never."},
      [](auto& c) -> auto& { return c.engine.cluster_adapters; }, 0, 4096));
  table->push_back(WeightsOption(
      {"tenant_weights", group, "NAME=W,…",
       "Shares of tenants that want more than there is; others have 1."},
      [](auto& c) -> auto& { return c.engine.tenant_weights; }));
  table->push_back(NumberOption(
      {"adapter_page_price", group, "X",
       "What loading a page of an adapter costs its tenant, in prompt tokens."},
      [](auto& c) -> auto& { return c.engine.adapter_page_price; }, 0, 1000));
  table->push_back(IntOption(
      {"first_token_limit_ms", group, "MS",
       "Refuse requests that are expected to have their first token later than that. 0: none."},
      [](auto& c) -> auto& { return c.engine.first_token_limit_ms; }, 0, 3'600'000));
  table->push_back(SwitchOption(
      {"early_abort", group, "",
       "Refuse requests that are expected to have their first token after their deadline."},
      [](auto& c) -> auto& { return c.engine.early_abort; }));
}

void AddQueues(Table* table) {
  const std::string group = "Scheduling";
  table->push_back(IntOption(
      {"max_overtakes", group, "N", "Requests that may pass one whose memory is not free yet."},
      [](auto& c) -> auto& { return c.engine.max_overtakes; }, 0, 1 << 20));
  AddFairness(group, table);
  table->push_back(ShareOption(
      {"admission_watermark", group, "SHARE",
       "Share of the pool kept free for sequences that grow "
       "(not conservative)."},
      [](auto& c) -> auto& { return c.engine.admission_watermark; }));
  table->push_back(ShareOption(
      {"pin_budget", group, "SHARE", "Largest share of the pool for pinned adapters."},
      [](auto& c) -> auto& { return c.engine.pin_budget; }));
  table->push_back(SwitchOption(
      {"prefix_cache", group, "", "Keep the KV of prompts for others that begin alike."},
      [](auto& c) -> auto& { return c.engine.prefix_cache; }));
  table->push_back(IntOption(
      {"max_loads", group, "N", "Adapters loaded at one time."},
      [](auto& c) -> auto& { return c.engine.max_loads; }, 1, 1024));
  table->push_back(IntOption(
      {"loader_threads", group, "N", "Threads that load adapters."},
      [](auto& c) -> auto& { return c.engine.loader_threads; }, 1, 64));
  table->push_back(BytesOption(
      {"max_load_bytes", group, "SIZE",
       "Adapters loaded at one time, together; a single one may be larger."},
      [](auto& c) -> auto& { return c.engine.max_load_bytes; }, kKiB, 16 * kTiB));
}

void AddServing(Table* table) {
  const std::string group = "Serving";
  table->push_back(IntOption(
      {"max_connections", group, "N", "Connections at one time; further ones are closed."},
      [](auto& c) -> auto& { return c.max_connections; }, 1, 1 << 20));
  table->push_back(IntOption(
      {"stall_limit_ms", group, "MS", "A client that takes nothing for so long is cut off."},
      [](auto& c) -> auto& { return c.stall_limit_ms; }, 1, 3'600'000));
  table->push_back(IntOption(
      {"drain_delay_ms", group, "MS",
       "After SIGTERM: not ready, but still accepting, for so long."},
      [](auto& c) -> auto& { return c.drain_delay_ms; }, 0, 3'600'000));
  table->push_back(IntOption(
      {"drain_timeout_ms", group, "MS", "After that: what still runs has so long to finish."},
      [](auto& c) -> auto& { return c.drain_timeout_ms; }, 0, 86'400'000));
}

void AddExperiments(Table* table) {
  const std::string group(kExperiments);
  table->push_back(ChoiceOption(
      {"experiment_reclaim_policy", group, "POLICY",
       "What goes first: what saves least time (cost), what was used longest ago (lru)."},
      [](auto& c) -> auto& { return c.engine.reclaim_policy; }, {"cost", "lru"}));
  table->push_back(SwitchOption(
      {"experiment_idle_adapters", group, "", "Keep adapters that nobody runs with or waits for."},
      [](auto& c) -> auto& { return c.engine.cache_idle_adapters; }));
  table->push_back(SwitchOption(
      {"experiment_prefetch", group, "", "Load an adapter when a request for it arrives."},
      [](auto& c) -> auto& { return c.engine.prefetch_adapters; }));
  table->push_back(ShareOption(
      {"experiment_adapter_pool_share", group, "SHARE",
       "Share of the pool for adapters alone, the rest for KV alone; 0: one pool. At least "
       "--pin-budget."},
      [](auto& c) -> auto& { return c.engine.adapter_pool_share; }));
  table->push_back(SwitchOption(
      {"experiment_lora_compute", group, "",
       "Off: adapters are loaded and paged, and what they add is left out."},
      [](auto& c) -> auto& { return c.engine.lora_compute; }));
  table->push_back(IntOption(
      {"experiment_pad_rank", group, "N", "Adapters of a smaller rank are kept and computed at N."},
      [](auto& c) -> auto& { return c.experiment_pad_rank; }, 0, kernels::kMaxLoraRank));
}

Table MakeTable() {
  Table table;
  AddModel(&table);
  AddAddresses(&table);
  AddMemory(&table);
  AddAdapters(&table);
  AddAdmission(&table);
  AddQueues(&table);
  AddServing(&table);
  AddExperiments(&table);
  return table;
}

}  // namespace

std::string Option::flag() const {
  return absl::StrCat("--", absl::StrReplaceAll(name, {{"_", "-"}}));
}

std::string Option::default_text() const {
  return fallback.empty() ? print(ServerConfig{}) : fallback;
}

std::span<const Option> AllOptions() {
  static const Table* const table = new Table(MakeTable());
  return *table;
}

std::vector<std::string> ActiveExperiments(const ServerConfig& config) {
  const ServerConfig defaults;
  std::vector<std::string> active;
  for (const Option& option : AllOptions()) {
    if (option.group != kExperiments || option.print(config) == option.print(defaults)) continue;
    active.push_back(absl::StrCat(option.flag(), "=", option.print(config)));
  }
  return active;
}

const Option* FindOption(std::string_view name) {
  for (const Option& option : AllOptions()) {
    if (option.name == name || option.flag().substr(2) == name) return &option;
  }
  return nullptr;
}

}  // namespace chorus::server
