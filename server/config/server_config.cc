#include "server/config/server_config.h"

#include <sched.h>

#include <algorithm>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/refusal.h"
#include "server/config/address.h"
#include "server/config/options.h"

namespace chorus::server {
namespace {

constexpr size_t kMaxServedNameBytes = 128;

using Problems = std::vector<std::string>;

void Add(Problems* problems, std::string object, std::string expected, std::string got) {
  problems->emplace_back(engine::Refuse(engine::Reason::kValueOutOfRange, std::move(object),
                                        std::move(expected), std::move(got))
                             .message());
}

// The processors that this process may run on: a container or taskset may leave it fewer than the
// machine has.
int32_t UsableProcessors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::string LastPart(const std::string& path) {
  const size_t last = path.find_last_not_of('/');
  if (last == std::string::npos) return "";
  const size_t slash = path.rfind('/', last);
  const size_t first = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(first, last + 1 - first);
}

// A name must not read as another form of `model` in a request, nor need quoting in a log.
bool IsServedName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxServedNameBytes &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return c > ' ' && c < 0x7f && c != '@' && c != ','; }) &&
         name.substr(0, 7) != "sha256:";
}

void CheckRanges(const ServerConfig& config, Problems* problems) {
  for (const Option& option : AllOptions()) {
    if (option.in_range(config)) continue;
    Add(problems, option.flag(), option.expected, option.print(config));
  }
}

void CheckModel(const ServerConfig& config, Problems* problems) {
  if (config.model.empty()) Add(problems, "--model", "a model's directory", "none");
  const std::string name =
      config.served_model_name.empty() ? LastPart(config.model) : config.served_model_name;
  if (!IsServedName(name) && !(config.model.empty() && name.empty())) {
    Add(problems, "--served-model-name",
        absl::StrCat("1 to ", kMaxServedNameBytes,
                     " printable ASCII characters without space, '@' or ',', not beginning with "
                     "\"sha256:\""),
        engine::Quoted(name));
  }
  if (config.store.empty()) Add(problems, "--store", "a directory", "none");
}

// Until calls are authenticated, nobody outside this machine may reach the server.
bool CheckAddress(std::string_view flag, const std::string& text, Address* address,
                  Problems* problems) {
  const absl::StatusOr<Address> parsed = ParseAddress(flag, text);
  if (!parsed.ok()) {
    problems->emplace_back(parsed.status().message());
    return false;
  }
  if (!parsed->IsLoopback()) {
    Add(problems, std::string(flag),
        "a loopback address (127.0.0.1, [::1]), because calls are not authenticated",
        engine::Quoted(text));
    return false;
  }
  *address = *parsed;
  return true;
}

void CheckAddresses(const ServerConfig& config, Problems* problems) {
  Address calls;
  Address metrics;
  const bool calls_good = CheckAddress("--listen", config.listen, &calls, problems);
  if (config.metrics_listen == "none") return;
  if (!CheckAddress("--metrics-listen", config.metrics_listen, &metrics, problems)) return;
  if (metrics.kind != Address::Kind::kIpv4) {  // Debian builds the HTTP server for nothing else
    Add(problems, "--metrics-listen", "an IPv4 HOST:PORT, or none",
        engine::Quoted(config.metrics_listen));
  } else if (calls_good && metrics.port != 0 && metrics.ToString() == calls.ToString()) {
    Add(problems, "--metrics-listen", "another address than --listen",
        engine::Quoted(config.metrics_listen));
  }
}

}  // namespace

void ServerConfig::Resolve() {
  if (served_model_name.empty()) served_model_name = LastPart(model);
  if (threads == 0) threads = UsableProcessors();
}

absl::Status ServerConfig::Validate() const {
  Problems problems;
  CheckModel(*this, &problems);
  CheckAddresses(*this, &problems);
  CheckRanges(*this, &problems);
  if (engine.max_running > engine.max_step_tokens) {
    Add(&problems, "--max-step-tokens",
        absl::StrCat("at least --max-running (", engine.max_running,
                     "), so that every sequence can go on in every step"),
        absl::StrCat(engine.max_step_tokens));
  }
  if (device == "cpu" && dtype == ComputeType::kF16) {
    Add(&problems, "--dtype", "auto, bf16 or f32 with --device=cpu", "f16");
  }
  if (device.substr(0, 4) == "cuda" && dtype == ComputeType::kF32) {
    Add(&problems, "--dtype", absl::StrCat("auto, bf16 or f16 with --device=", device), "f32");
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

}  // namespace chorus::server
