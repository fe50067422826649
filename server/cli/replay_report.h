// What a replay shows: in a window of time, where the load is steady, and over the whole trace with
// the tail in which the last requests drain, as S-LoRA's authors count.
#ifndef CHORUS_SERVER_CLI_REPLAY_REPORT_H_
#define CHORUS_SERVER_CLI_REPLAY_REPORT_H_

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "server/cli/replay.h"

namespace chorus::cli {

struct ReplayWindow {
  double begin = 0;  // seconds from the replay's start
  double end = 0;
  double first_token_limit = 6;  // seconds
};

struct ReplayFigures {
  double seconds = 0;              // what rates are of
  int64_t requests = 0;            // that were due then
  int64_t errors = 0;              // of these
  int64_t finished = 0;            // whole answers that ended then
  int64_t tokens = 0;              // that came then
  double attainment = 0;           // share of the requests whose first token came within the limit
  std::vector<double> ttft_ms;     // of the requests, where a token came
  std::vector<double> itl_ms;      // gaps that ended then
  std::vector<double> latency_ms;  // of the requests, where the answer is whole
};

// A request that failed, or whose first token never came, is none that attained.
ReplayFigures FiguresIn(const ReplayWindow& window, const std::vector<ReplayRecord>& records);
// From the replay's start to the end of the last answer.
ReplayFigures FiguresOfAll(double first_token_limit, const std::vector<ReplayRecord>& records);

// One line; others read it, so its names stay:
//   {"requests","errors","window":FIGURES,"whole":FIGURES,
//    "late_ms":{"p50","p95","p99","max"},"client_cpu_seconds"}
//   FIGURES = {"seconds","requests","errors","finished","requests_per_second","output_tokens",
//              "output_tokens_per_second","attainment","ttft_ms","itl_ms","latency_ms"}
//   each _ms = {"mean","p50","p95","p99"}
std::string ReplayJson(const ReplayWindow& window, const Replay& replay);
std::string ReplayText(const ReplayWindow& window, const Replay& replay);

// A line a request, for whoever wants to know more, with what the trace says of it:
//   {"index","due","sent","first","end","tokens","gaps_ms":[…],"prompt_tokens","cached_tokens",
//    "adapter","tenant","cut","problem"}; "first" is null when no token came
std::string RecordLines(const std::vector<TraceRequest>& trace,
                        const std::vector<ReplayRecord>& records);

// How often each error came.
std::map<std::string, int64_t> ProblemsOf(const Replay& replay);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_REPLAY_REPORT_H_
