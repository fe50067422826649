// chorus bench: how fast the server answers under load.
#ifndef CHORUS_SERVER_CLI_BENCH_COMMAND_H_
#define CHORUS_SERVER_CLI_BENCH_COMMAND_H_

#include <string>

#include "server/cli/load_generator.h"
#include "server/cli/options.h"

namespace chorus::cli {

// --trace: see replay_report.h for what it prints.
ExitCode RunBenchCommand(const Args& args, const Console& console);

// One line; others read it, so its names stay:
//   {"requests","errors","prompt_tokens","completion_tokens","seconds","output_tokens_per_second",
//    "ttft_ms":{"p50","p90","p99"},"itl_ms":{"p50","p90","p99"},"client_cpu_seconds"}
std::string LoadJson(const LoadResult& result);
std::string LoadText(const LoadOptions& options, const LoadResult& result);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_BENCH_COMMAND_H_
