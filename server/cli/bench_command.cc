#include "server/cli/bench_command.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "chorus/v1/admin.grpc.pb.h"
#include "server/cli/answer_json.h"
#include "server/cli/connection.h"
#include "server/cli/error_text.h"
#include "server/cli/percentiles.h"
#include "server/cli/printable.h"
#include "server/cli/table.h"
#include "server/cli/trace_bench.h"
#include "server/cli/units.h"

namespace chorus::cli {
namespace {

constexpr int32_t kMaxConcurrency = 4096;
constexpr int32_t kDefaultMaxTokens = 64;

struct BenchOptions {
  LoadOptions load;
  ServerOption server;
  TraceBenchOptions trace;
  std::optional<int32_t> concurrency;
  std::optional<int64_t> requests;
  std::optional<int32_t> prompt_tokens;
  std::optional<int32_t> max_tokens;
  std::optional<float> temperature;
  bool stop_at_eos = false;
  bool json = false;

  void AddTo(OptionSet* options) {
    server.AddTo(options);
    options->Add("--model", "NAME", "who answers; several take turns", &load.models);
    options->Add("--concurrency", "N", "streams at a time (default 8)", &concurrency);
    options->Add("--requests", "N", "requests in all (default 100, without limit with --duration)",
                 &requests);
    options->Add("--duration", "TIME", "begins no request after TIME, \"30s\"", &load.duration);
    options->Add("--warmup", "N", "requests before, which are not counted (default 0)",
                 &load.warmup);
    options->Add("--prompt-tokens", "N", "random token ids in each prompt (default 128)",
                 &prompt_tokens);
    options->Add("--max-tokens", "N", "tokens in each answer (default 64)", &max_tokens);
    options->AddSwitch("--stop-at-eos", "lets the model end an answer earlier", &stop_at_eos);
    options->Add("--temperature", "T", "default: the model's", &temperature);
    options->Add("--seed", "N", "of the prompts (default 1)", &load.seed);
    trace.AddTo(options);
    options->AddSwitch("--json", "prints a JSON object", &json);
  }
};

// What a trace leaves open.
absl::Status CheckTrace(const BenchOptions& options) {
  const LoadOptions& load = options.load;
  const std::pair<const char*, bool> given[] = {
      {"--requests", options.requests.has_value()},
      {"--duration", load.duration.has_value()},
      {"--warmup", load.warmup > 0},
      {"--prompt-tokens", options.prompt_tokens.has_value()},
      {"--max-tokens", options.max_tokens.has_value()},
      {"--stop-at-eos", options.stop_at_eos}};
  for (const auto& [flag, is_given] : given) {
    if (!is_given) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " has no meaning with --trace, which says what is asked for"));
  }
  if (load.models.size() > 1) {
    return absl::InvalidArgumentError("--trace wants one --model, which stands for the base");
  }
  const auto positive = [](const char* flag, absl::Duration time) {
    return time > absl::ZeroDuration()
               ? absl::OkStatus()
               : absl::InvalidArgumentError(absl::StrCat(flag, " wants a time above zero, got ",
                                                         absl::FormatDuration(time)));
  };
  for (const auto& [flag, time] :
       {std::pair("--window", options.trace.window), std::pair("--cut", options.trace.cut)}) {
    if (!time) continue;
    if (absl::Status status = positive(flag, *time); !status.ok()) return status;
  }
  return positive("--first-token-limit", options.trace.first_token_limit);
}

absl::Status Check(BenchOptions* options) {
  LoadOptions& load = options->load;
  const auto range = [](const char* flag, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " wants ", low, " to ", high, ", got ", value));
  };
  if (load.models.empty()) {
    return absl::InvalidArgumentError("--model is missing; chorus status shows the base's name");
  }
  for (const absl::Status& status :
       {range("--concurrency", options->concurrency.value_or(1), 1, kMaxConcurrency),
        range("--requests", options->requests.value_or(1), 1, INT64_MAX),
        range("--warmup", load.warmup, 0, INT64_MAX),
        range("--prompt-tokens", options->prompt_tokens.value_or(1), 1, INT32_MAX)}) {
    if (!status.ok()) return status;
  }
  if (!options->trace.trace.empty()) {
    if (absl::Status status = CheckTrace(*options); !status.ok()) return status;
  }
  load.concurrency = options->concurrency.value_or(load.concurrency);
  load.prompt_tokens = options->prompt_tokens.value_or(load.prompt_tokens);
  load.requests = options->requests.value_or(load.duration ? 0 : 100);
  load.address = options->server.address;
  load.request.set_max_tokens(options->max_tokens.value_or(kDefaultMaxTokens));
  load.request.set_ignore_eos(!options->stop_at_eos);
  if (options->temperature) {
    load.request.mutable_sampling()->set_temperature(*options->temperature);
  }
  return absl::OkStatus();
}

nlohmann::ordered_json PercentilesJson(const std::vector<double>& samples) {
  const Percentiles percentiles = PercentilesOf(samples);
  return {{"p50", percentiles.p50}, {"p90", percentiles.p90}, {"p99", percentiles.p99}};
}

double PerSecond(int64_t count, absl::Duration elapsed) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

}  // namespace

std::string LoadJson(const LoadResult& result) {
  return JsonLine(
      {{"requests", result.requests},
       {"errors", result.errors},
       {"prompt_tokens", result.prompt_tokens},
       {"completion_tokens", result.completion_tokens},
       {"seconds", absl::ToDoubleSeconds(result.elapsed)},
       {"output_tokens_per_second", PerSecond(result.completion_tokens, result.elapsed)},
       {"ttft_ms", PercentilesJson(result.ttft_ms)},
       {"itl_ms", PercentilesJson(result.itl_ms)},
       {"client_cpu_seconds", absl::ToDoubleSeconds(result.client_cpu)}});
}

std::string LoadText(const LoadOptions& options, const LoadResult& result) {
  std::string text = absl::StrCat(
      CountText(result.requests), " requests, ", options.concurrency, " at a time, in ",
      DurationText(result.elapsed), "; ",
      result.errors == 0 ? "none failed" : CountText(result.errors) + " failed", "\n\n");
  Table tokens({"", "tokens", "per second"}, {Table::kLeft, Table::kRight, Table::kRight});
  for (const auto& [name, count] :
       {std::pair("in", result.prompt_tokens), std::pair("out", result.completion_tokens)}) {
    tokens.Add({name, CountText(count), absl::StrFormat("%.1f", PerSecond(count, result.elapsed))});
  }
  Table times({"", "p50", "p90", "p99"},
              {Table::kLeft, Table::kRight, Table::kRight, Table::kRight});
  for (const auto& [name, samples] :
       {std::pair("first token", &result.ttft_ms), std::pair("between tokens", &result.itl_ms)}) {
    const Percentiles percentiles = PercentilesOf(*samples);
    const bool none = samples->empty();
    const auto ms = [none](double value) {
      return none ? "–" : DurationText(absl::Milliseconds(value));
    };
    times.Add({name, ms(percentiles.p50), ms(percentiles.p90), ms(percentiles.p99)});
  }
  absl::StrAppend(&text, tokens.Text(), "\n", times.Text(), "\nthe client took ",
                  DurationText(result.client_cpu), " of processor time\n");
  return text;
}

ExitCode RunBenchCommand(const Args& args, const Console& console) {
  BenchOptions options;
  OptionSet set(
      "chorus bench [flags]",
      "Keeps the server busy with random prompts and measures tokens per second, the time to\n"
      "the first token and the time between tokens. With --trace, requests come as a file says.",
      0, 0);
  options.AddTo(&set);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;
  if (const absl::Status status = Check(&options); !status.ok()) {
    return UsageError(console, "chorus bench", status.message());
  }
  v1::ServerInfo info;
  grpc::ClientContext context;
  SetTimeout(&context, kQuickCall);
  const grpc::Status status =
      v1::Admin::NewStub(Connect(options.server.address))->GetServerInfo(&context, {}, &info);
  if (!status.ok()) return ReportError(console, status, options.server.address);
  options.load.vocabulary = std::max(info.vocabulary(), 1);

  if (!options.trace.trace.empty()) {
    ReplayOptions& replay = options.trace.replay;
    replay.address = options.load.address;
    replay.base_model = options.load.models.front();
    replay.concurrency = options.concurrency.value_or(0);
    replay.vocabulary = options.load.vocabulary;
    replay.seed = options.load.seed;
    replay.request = options.load.request;
    return RunTraceBench(options.trace, options.json, console);
  }
  const LoadResult result = RunLoad(options.load);
  console.out->Write(options.json ? LoadJson(result) : LoadText(options.load, result));
  ReportProblems(result.problems, console);
  if (result.unreachable) return ExitCode::kUnreachable;
  return result.errors == 0 ? ExitCode::kOk : ExitCode::kRefused;
}

}  // namespace chorus::cli
