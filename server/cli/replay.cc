#include "server/cli/replay.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "server/cli/error_text.h"
#include "server/cli/load_stream.h"

namespace chorus::cli {
namespace {

class Replayer {
 public:
  Replayer(const std::vector<TraceRequest>& trace, const ReplayOptions& options)
      : trace_(trace), options_(options), streams_(options.address) {}

  Replay Run() {
    const absl::Duration cpu = ProcessCpu();
    start_ = absl::Now();
    while (true) {
      if (!cut_ && absl::Now() >= start_ + options_.cut) CutOff();
      while (MaySend(absl::Now())) Send();
      if (Exhausted() && streams_.num_running() == 0) break;
      LoadStream* const ended = streams_.NextEnded(std::min(NextSend(), NextCut()));
      if (ended != nullptr) Record(ended);
    }
    replay_.client_cpu = ProcessCpu() - cpu;
    return std::move(replay_);
  }

 private:
  // What was sent of a request that runs.
  struct Sent {
    int64_t index = 0;
    absl::Time due;
  };

  bool open_loop() const { return options_.concurrency == 0; }
  bool Exhausted() const {
    // Where nobody listens, a loop would only spin.
    return next_ == trace_.size() || replay_.unreachable.has_value() || cut_;
  }
  absl::Time NextCut() const { return cut_ ? absl::InfiniteFuture() : start_ + options_.cut; }
  void CutOff() {
    cut_ = true;
    for (const auto& [stream, sent] : sent_) stream->Cancel();
  }
  // InfiniteFuture: not before another one has ended.
  absl::Time NextSend() const {
    if (Exhausted()) return absl::InfiniteFuture();
    if (open_loop()) return start_ + trace_[next_].arrival;
    return streams_.num_running() < options_.concurrency ? absl::InfinitePast()
                                                         : absl::InfiniteFuture();
  }
  bool MaySend(absl::Time now) const {
    const absl::Time at = NextSend();
    return at != absl::InfiniteFuture() && now >= at;
  }

  void Send() {
    const TraceRequest& wanted = trace_[next_];
    v1::GenerateRequest request = options_.request;
    request.set_model(wanted.adapter ? absl::StrReplaceAll(options_.adapter_names,
                                                           {{"{}", absl::StrCat(*wanted.adapter)}})
                                     : options_.base_model);
    request.set_max_tokens(wanted.output_tokens);
    request.set_ignore_eos(true);
    FillPrompt(options_.seed, static_cast<int64_t>(next_), options_.vocabulary,
               wanted.prompt_tokens, request.mutable_token_ids());
    LoadStream* const stream = streams_.Take();
    sent_[stream] = {static_cast<int64_t>(next_),
                     open_loop() ? start_ + wanted.arrival : absl::Now()};
    ++next_;
    stream->Begin(std::move(request));
  }

  void Record(LoadStream* ended) {
    const LoadStream& stream = *ended;
    const auto found = sent_.find(ended);
    const auto seconds = [&](absl::Time time) { return absl::ToDoubleSeconds(time - start_); };
    ReplayRecord record;
    record.index = found->second.index;
    record.due = seconds(found->second.due);
    record.sent = seconds(stream.begin());
    record.first = seconds(stream.first());
    record.end = seconds(stream.end());
    record.tokens = stream.tokens();
    record.gaps_ms = stream.itl_ms();
    record.prompt_tokens = stream.usage().prompt_tokens();
    record.cached_tokens = stream.usage().cached_tokens();
    const grpc::Status& status = stream.status();
    record.cut = cut_ && status.error_code() == grpc::StatusCode::CANCELLED;
    if (!status.ok() && !record.cut) {
      record.problem = absl::StrCat(CodeName(status.error_code()), ": ", status.error_message());
      if (ExitCodeOf(status) == ExitCode::kUnreachable) replay_.unreachable = status;
    }
    replay_.records.push_back(std::move(record));
    sent_.erase(found);
  }

  const std::vector<TraceRequest>& trace_;
  const ReplayOptions& options_;
  LoadStreams streams_;
  absl::Time start_;
  size_t next_ = 0;
  std::map<LoadStream*, Sent> sent_;
  bool cut_ = false;
  Replay replay_;
};

}  // namespace

Replay RunReplay(const std::vector<TraceRequest>& trace, const ReplayOptions& options) {
  return Replayer(trace, options).Run();
}

}  // namespace chorus::cli
