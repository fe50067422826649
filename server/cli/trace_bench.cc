#include "server/cli/trace_bench.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "server/cli/error_text.h"
#include "server/cli/printable.h"
#include "server/cli/replay_report.h"

namespace chorus::cli {
namespace {

absl::Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (file.flush()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(path, ": cannot be written"));
}

ReplayWindow WindowOf(const TraceBenchOptions& options, const std::vector<TraceRequest>& trace,
                      const Replay& replay) {
  ReplayWindow window{.begin = absl::ToDoubleSeconds(options.window_begin),
                      .first_token_limit = absl::ToDoubleSeconds(options.first_token_limit)};
  if (options.window) {
    window.end = window.begin + absl::ToDoubleSeconds(*options.window);
  } else if (options.replay.concurrency == 0) {
    window.end = absl::ToDoubleSeconds(trace.back().arrival);
  } else {  // the trace's times mean nothing
    window.end = FiguresOfAll(window.first_token_limit, replay.records).seconds;
  }
  return window;
}

}  // namespace

void TraceBenchOptions::AddTo(OptionSet* options) {
  options->Add("--trace", "FILE",
               "sends what a trace says, when it is due; with --concurrency in its order", &trace);
  options->Add("--adapter-names", "NAME",
               "of a trace's adapters, {} for the index (default bench-{})", &replay.adapter_names);
  options->Add("--window-begin", "TIME", "the load is steady from then on (default 0s)",
               &window_begin);
  options->Add("--window", "TIME", "and for so long (default: to the last arrival)", &window);
  options->Add("--cut", "TIME",
               "ends the load then (default: at the last answer or the window's end)", &cut);
  options->Add("--first-token-limit", "TIME", "what a request has to attain (default 6s)",
               &first_token_limit);
  options->Add("--records", "FILE", "gets a JSON object a line for each request", &records);
}

ExitCode RunTraceBench(const TraceBenchOptions& options, bool json, const Console& console) {
  const auto fail = [&](const absl::Status& status) {
    return UsageError(console, "chorus bench", status.message());
  };
  const absl::StatusOr<std::vector<TraceRequest>> trace = ReadTrace(options.trace);
  if (!trace.ok()) return fail(trace.status());
  // Before the load, so that no minutes are lost.
  if (!options.records.empty()) {
    if (const absl::Status status = WriteFile(options.records, ""); !status.ok()) {
      return fail(status);
    }
  }
  ReplayOptions replay_options = options.replay;
  if (options.cut) {
    replay_options.cut = *options.cut;
  } else if (options.window && options.replay.concurrency > 0) {
    replay_options.cut = options.window_begin + *options.window;
  }
  const Replay replay = RunReplay(*trace, replay_options);
  if (!options.records.empty()) {
    const absl::Status status = WriteFile(options.records, RecordLines(*trace, replay.records));
    if (!status.ok()) return fail(status);
  }
  const ReplayWindow window = WindowOf(options, *trace, replay);
  console.out->Write(json ? ReplayJson(window, replay) : ReplayText(window, replay));
  ReportProblems(ProblemsOf(replay), console);
  if (replay.unreachable) return ExitCode::kUnreachable;
  return ProblemsOf(replay).empty() ? ExitCode::kOk : ExitCode::kRefused;
}

}  // namespace chorus::cli
