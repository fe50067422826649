#include "server/cli/status_command.h"

#include <grpcpp/grpcpp.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "chorus/v1/admin.grpc.pb.h"
#include "server/cli/answer_json.h"
#include "server/cli/connection.h"
#include "server/cli/error_text.h"
#include "server/cli/health.h"
#include "server/cli/printable.h"
#include "server/cli/units.h"

namespace chorus::cli {
namespace {

constexpr absl::Duration kPollPeriod = absl::Milliseconds(100);

struct ServerState {
  Health health;
  v1::ServerInfo info;
  v1::Load load;
};

grpc::Status Ask(const std::shared_ptr<grpc::Channel>& channel, ServerState* state) {
  const auto stub = v1::Admin::NewStub(channel);
  {
    grpc::ClientContext context;
    SetTimeout(&context, kQuickCall);
    const grpc::Status status = stub->GetServerInfo(&context, {}, &state->info);
    if (!status.ok()) return status;
  }
  {
    grpc::ClientContext context;
    SetTimeout(&context, kQuickCall);
    const grpc::Status status = stub->GetLoad(&context, {}, &state->load);
    if (!status.ok()) return status;
  }
  grpc::ClientContext context;
  SetTimeout(&context, kQuickCall);
  state->health = CheckHealth(channel, &context);
  return state->health.status;
}

// Until the server says SERVING, or `limit` has passed.
Health WaitUntilServing(const std::shared_ptr<grpc::Channel>& channel, absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  for (;;) {
    grpc::ClientContext context;
    SetTimeout(&context, end - absl::Now());
    context.set_wait_for_ready(true);
    Health health = CheckHealth(channel, &context);
    if (health.serving || absl::Now() + kPollPeriod >= end) return health;
    std::this_thread::sleep_for(absl::ToChronoMilliseconds(kPollPeriod));
  }
}

std::string Share(int64_t part, int64_t whole) {
  if (whole <= 0) return "";
  return absl::StrCat(" (", (part * 100 + whole / 2) / whole, " %)");
}

nlohmann::ordered_json StatusJson(const ServerState& state) {
  const v1::ServerInfo& info = state.info;
  const v1::Load& load = state.load;
  return {{"health", state.health.text},
          {"ready", load.ready()},
          {"draining", load.draining()},
          {"version", info.version()},
          {"served_model_name", info.served_model_name()},
          {"architecture", info.architecture()},
          {"dtype", info.dtype()},
          {"device", info.device()},
          {"context_tokens", info.context_tokens()},
          {"vocabulary", info.vocabulary()},
          {"chat_available", info.chat_available()},
          {"chat_problem", info.chat_problem()},
          {"pool_pages", info.pool_pages()},
          {"pool_bytes", info.pool_bytes()},
          {"weight_bytes", info.weight_bytes()},
          {"page_tokens", info.page_tokens()},
          {"threads", info.threads()},
          {"uptime_ms", info.uptime_ms()},
          {"weights_digest", info.weights_digest()},
          {"experiments",
           std::vector<std::string>(info.experiments().begin(), info.experiments().end())},
          {"requests_running", load.requests_running()},
          {"requests_waiting", load.requests_waiting()},
          {"sequences_running", load.sequences_running()},
          {"pages_total", load.pages_total()},
          {"pages_free", load.pages_free()},
          {"pages_sequences", load.pages_sequences()},
          {"pages_prefixes", load.pages_prefixes()},
          {"pages_adapters", load.pages_adapters()},
          {"pages_draining", load.pages_draining()},
          {"generation_tokens", load.generation_tokens()},
          {"preemptions", load.preemptions()},
          {"adapter_loads", load.adapter_loads()}};
}

}  // namespace

std::string StatusText(const std::string& address, const v1::ServerInfo& info, const v1::Load& load,
                       const std::string& health) {
  std::string text;
  const auto add = [&text](absl::string_view name, const std::string& value) {
    absl::StrAppend(&text, name, std::string(10 - name.size(), ' '), Printable(value), "\n");
  };
  add("server", absl::StrCat("chorusd ", info.version(), " at ", address, ", up ",
                             DurationText(absl::Milliseconds(info.uptime_ms()))));
  add("state", absl::StrCat(load.draining() ? "draining"
                            : load.ready()  ? "ready"
                                            : "not ready",
                            ", health ", health));
  add("model", absl::StrCat(info.served_model_name(), " (", info.architecture(), "), ",
                            BytesText(static_cast<uint64_t>(info.weight_bytes())), " of weights"));
  add("runs", absl::StrCat(info.dtype(), " on ", info.device(), ", ", info.threads(), " threads"));
  add("limits", absl::StrCat("context ", CountText(info.context_tokens()), " tokens, vocabulary ",
                             CountText(info.vocabulary())));
  if (info.experiments_size() > 0) {
    add("for bench",
        absl::StrCat(absl::StrJoin(info.experiments(), " "), ": answers may be wrong or slow"));
  }
  add("chat", info.chat_available() ? "yes" : absl::StrCat("no: ", info.chat_problem()));
  add("requests", absl::StrCat(load.requests_running(), " running, ", load.requests_waiting(),
                               " waiting, ", load.sequences_running(), " sequences"));
  add("pool",
      absl::StrCat(BytesText(static_cast<uint64_t>(info.pool_bytes())), ", ",
                   CountText(load.pages_total()), " pages of ", info.page_tokens(), " tokens"));
  const auto pages = [&](absl::string_view name, int64_t count) {
    absl::StrAppend(&text, "  ", name, std::string(12 - name.size(), ' '), CountText(count),
                    Share(count, load.pages_total()), "\n");
  };
  pages("free", load.pages_free());
  pages("sequences", load.pages_sequences());
  pages("prefixes", load.pages_prefixes());
  pages("adapters", load.pages_adapters());
  if (load.pages_draining() > 0) pages("draining", load.pages_draining());
  add("so far",
      absl::StrCat(CountText(static_cast<int64_t>(load.generation_tokens())), " tokens generated, ",
                   load.preemptions(), " preemptions, ", load.adapter_loads(), " adapter loads"));
  return text;
}

ExitCode RunStatusCommand(const Args& args, const Console& console) {
  OptionSet set("chorus status [flags]",
                "Shows what the server serves, whether it is ready, and how busy it is.", 0, 0);
  ServerOption server;
  std::optional<absl::Duration> wait;
  bool json = false;
  server.AddTo(&set);
  set.Add("--wait", "TIME", "waits at most TIME (\"30s\") until the server is ready", &wait);
  set.AddSwitch("--json", "prints a JSON object", &json);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;

  const auto channel = Connect(server.address);
  if (wait) {
    const Health health = WaitUntilServing(channel, *wait);
    if (!health.serving) {
      console.err->Write(absl::StrCat("chorus: ", server.address, " is not ready after ",
                                      DurationText(*wait), "\n"));
      return health.status.ok() ? ExitCode::kRefused : ExitCode::kUnreachable;
    }
  }
  ServerState state;
  const grpc::Status status = Ask(channel, &state);
  if (!status.ok()) return ReportError(console, status, server.address);
  console.out->Write(json ? JsonLine(StatusJson(state))
                          : StatusText(server.address, state.info, state.load, state.health.text));
  return ExitCode::kOk;
}

}  // namespace chorus::cli
