// chorus bench --trace: replays a trace, and says what it showed.
#ifndef CHORUS_SERVER_CLI_TRACE_BENCH_H_
#define CHORUS_SERVER_CLI_TRACE_BENCH_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/cli/console.h"
#include "server/cli/exit_code.h"
#include "server/cli/options.h"
#include "server/cli/replay.h"

namespace chorus::cli {

struct TraceBenchOptions {
  std::string trace;    // a file; empty: no replay is wanted
  std::string records;  // a file that gets a line a request; empty: none
  absl::Duration window_begin = absl::ZeroDuration();
  std::optional<absl::Duration> window;  // default: to the last arrival
  std::optional<absl::Duration> cut;
  absl::Duration first_token_limit = absl::Seconds(6);
  ReplayOptions replay;

  void AddTo(OptionSet* options);
};

// Reads the trace, replays it, writes records and report. kUsage for a file that is not good.
ExitCode RunTraceBench(const TraceBenchOptions& options, bool json, const Console& console);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_TRACE_BENCH_H_
