#include "server/cli/replay_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/cli/answer_json.h"
#include "server/cli/percentiles.h"
#include "server/cli/table.h"
#include "server/cli/units.h"

namespace chorus::cli {
namespace {

double PerSecond(int64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

double MeanOf(const std::vector<double>& samples) {
  return samples.empty() ? 0
                         : std::accumulate(samples.begin(), samples.end(), 0.0) /
                               static_cast<double>(samples.size());
}

// Tokens of `record` that came within the window, and the gaps before them.
void CountTokens(const ReplayWindow& window, const ReplayRecord& record, ReplayFigures* figures) {
  const auto within = [&](double time) { return time >= window.begin && time < window.end; };
  double time = record.first;
  if (within(time)) figures->tokens += record.tokens - static_cast<int64_t>(record.gaps_ms.size());
  for (const double gap : record.gaps_ms) {
    time += gap / 1000;
    if (!within(time)) continue;
    ++figures->tokens;
    figures->itl_ms.push_back(gap);
  }
}

void CountRequest(const ReplayRecord& record, double first_token_limit, int64_t* attained,
                  ReplayFigures* figures) {
  ++figures->requests;
  if (!record.ok()) ++figures->errors;
  if (record.ok() && record.ttft() <= first_token_limit) ++*attained;
  if (std::isfinite(record.first)) figures->ttft_ms.push_back(record.ttft() * 1000);
  if (record.whole()) figures->latency_ms.push_back((record.end - record.due) * 1000);
}

nlohmann::ordered_json Samples(const std::vector<double>& samples) {
  const Percentiles percentiles = PercentilesOf(samples);
  return {{"mean", MeanOf(samples)},
          {"p50", percentiles.p50},
          {"p95", percentiles.p95},
          {"p99", percentiles.p99}};
}

nlohmann::ordered_json FiguresJson(const ReplayFigures& figures) {
  return {{"seconds", figures.seconds},
          {"requests", figures.requests},
          {"errors", figures.errors},
          {"finished", figures.finished},
          {"requests_per_second", PerSecond(figures.finished, figures.seconds)},
          {"output_tokens", figures.tokens},
          {"output_tokens_per_second", PerSecond(figures.tokens, figures.seconds)},
          {"attainment", figures.attainment},
          {"ttft_ms", Samples(figures.ttft_ms)},
          {"itl_ms", Samples(figures.itl_ms)},
          {"latency_ms", Samples(figures.latency_ms)}};
}

// How late requests were sent.
std::vector<double> Lateness(const Replay& replay) {
  std::vector<double> late_ms;
  for (const ReplayRecord& record : replay.records) {
    late_ms.push_back((record.sent - record.due) * 1000);
  }
  return late_ms;
}

double LargestOf(const std::vector<double>& samples) {
  return samples.empty() ? 0 : *std::max_element(samples.begin(), samples.end());
}

int64_t NumErrors(const Replay& replay) {
  return std::count_if(replay.records.begin(), replay.records.end(),
                       [](const ReplayRecord& record) { return !record.ok(); });
}

}  // namespace

ReplayFigures FiguresIn(const ReplayWindow& window, const std::vector<ReplayRecord>& records) {
  const auto within = [&](double time) { return time >= window.begin && time < window.end; };
  ReplayFigures figures;
  figures.seconds = window.end - window.begin;
  int64_t attained = 0;
  for (const ReplayRecord& record : records) {
    if (within(record.due)) {
      CountRequest(record, window.first_token_limit, &attained, &figures);
    }
    if (record.whole() && within(record.end)) ++figures.finished;
    CountTokens(window, record, &figures);
  }
  figures.attainment = PerSecond(attained, static_cast<double>(figures.requests));
  return figures;
}

ReplayFigures FiguresOfAll(double first_token_limit, const std::vector<ReplayRecord>& records) {
  double last = 0;
  for (const ReplayRecord& record : records) last = std::max(last, record.end);
  ReplayFigures figures =
      FiguresIn({0, std::nextafter(last, HUGE_VAL), first_token_limit}, records);
  figures.seconds = last;
  return figures;
}

std::string ReplayJson(const ReplayWindow& window, const Replay& replay) {
  const std::vector<double> late_ms = Lateness(replay);
  const Percentiles late = PercentilesOf(late_ms);
  return JsonLine(
      {{"requests", replay.records.size()},
       {"errors", NumErrors(replay)},
       {"window", FiguresJson(FiguresIn(window, replay.records))},
       {"whole", FiguresJson(FiguresOfAll(window.first_token_limit, replay.records))},
       {"late_ms",
        {{"p50", late.p50}, {"p95", late.p95}, {"p99", late.p99}, {"max", LargestOf(late_ms)}}},
       {"client_cpu_seconds", absl::ToDoubleSeconds(replay.client_cpu)}});
}

std::string ReplayText(const ReplayWindow& window, const Replay& replay) {
  const auto ms = [](double value) { return DurationText(absl::Milliseconds(value)); };
  Table rates({"", "requests/s", "tokens/s", "attained", "failed"},
              {Table::kLeft, Table::kRight, Table::kRight, Table::kRight, Table::kRight});
  Table times({"", "", "p50", "p95", "p99"},
              {Table::kLeft, Table::kLeft, Table::kRight, Table::kRight, Table::kRight});
  const auto add = [&](const std::string& name, const ReplayFigures& figures) {
    rates.Add({name, absl::StrFormat("%.2f", PerSecond(figures.finished, figures.seconds)),
               absl::StrFormat("%.1f", PerSecond(figures.tokens, figures.seconds)),
               absl::StrFormat("%.1f %%", 100 * figures.attainment), CountText(figures.errors)});
    for (const auto& [what, samples] :
         {std::pair("first token", &figures.ttft_ms), std::pair("between tokens", &figures.itl_ms),
          std::pair("whole answer", &figures.latency_ms)}) {
      const Percentiles of = PercentilesOf(*samples);
      times.Add({name, what, ms(of.p50), ms(of.p95), ms(of.p99)});
    }
  };
  add(absl::StrFormat("%g s to %g s", window.begin, window.end), FiguresIn(window, replay.records));
  add("all, with the drain", FiguresOfAll(window.first_token_limit, replay.records));
  const std::vector<double> late_ms = Lateness(replay);
  return absl::StrCat(CountText(static_cast<int64_t>(replay.records.size())), " requests, ",
                      NumErrors(replay), " failed; first token within ",
                      DurationText(absl::Seconds(window.first_token_limit)), "\n\n", rates.Text(),
                      "\n", times.Text(), "\nsent late: p99 ", ms(PercentilesOf(late_ms).p99),
                      ", at most ", ms(LargestOf(late_ms)), "; the client took ",
                      DurationText(replay.client_cpu), " of processor time\n");
}

std::string RecordLines(const std::vector<TraceRequest>& trace,
                        const std::vector<ReplayRecord>& records) {
  std::string lines;
  for (const ReplayRecord& record : records) {
    const TraceRequest& request = trace[static_cast<size_t>(record.index)];
    nlohmann::ordered_json json = {{"index", record.index}, {"due", record.due},
                                   {"sent", record.sent},   {"first", nullptr},
                                   {"end", record.end},     {"tokens", record.tokens}};
    if (std::isfinite(record.first)) json["first"] = record.first;
    auto& gaps = json["gaps_ms"] = nlohmann::ordered_json::array();
    for (const double gap : record.gaps_ms) gaps.push_back(std::round(gap * 1000) / 1000);
    json["prompt_tokens"] = record.prompt_tokens;
    json["cached_tokens"] = record.cached_tokens;
    json["adapter"] = nullptr;
    if (request.adapter) json["adapter"] = *request.adapter;
    json["tenant"] = request.tenant;
    json["cut"] = record.cut;
    json["problem"] = record.problem;
    absl::StrAppend(&lines, JsonLine(json));
  }
  return lines;
}

std::map<std::string, int64_t> ProblemsOf(const Replay& replay) {
  std::map<std::string, int64_t> problems;
  for (const ReplayRecord& record : replay.records) {
    if (!record.ok()) ++problems[record.problem];
  }
  return problems;
}

}  // namespace chorus::cli
