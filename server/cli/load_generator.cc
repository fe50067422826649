#include "server/cli/load_generator.h"

#include "absl/time/clock.h"
#include "server/cli/error_text.h"
#include "server/cli/load_stream.h"

namespace chorus::cli {
namespace {

// Of a request that has ended.
void Add(const LoadStream& stream, LoadResult* result) {
  ++result->requests;
  const grpc::Status& status = stream.status();
  if (!status.ok()) {
    ++result->errors;
    ++result->problems[CodeName(status.error_code()) + ": " + status.error_message()];
    if (ExitCodeOf(status) == ExitCode::kUnreachable) result->unreachable = status;
    return;
  }
  result->prompt_tokens += stream.usage().prompt_tokens();
  result->completion_tokens += stream.usage().completion_tokens();
  if (stream.first() == absl::InfiniteFuture()) return;
  result->ttft_ms.push_back(absl::ToDoubleMilliseconds(stream.first() - stream.begin()));
  result->itl_ms.insert(result->itl_ms.end(), stream.itl_ms().begin(), stream.itl_ms().end());
}

class Load {
 public:
  explicit Load(const LoadOptions& options) : options_(options), streams_(options.address) {}

  // At most `requests`, none begun after `end`.
  LoadResult Run(int64_t requests, absl::Time end) {
    LoadResult result;
    const absl::Time begin = absl::Now();
    const absl::Duration cpu = ProcessCpu();
    int64_t begun = 0;
    while (true) {
      // Where nobody listens, a loop would only spin.
      while (!result.unreachable && streams_.num_running() < options_.concurrency &&
             begun != requests && absl::Now() < end) {
        ++begun;
        streams_.Take()->Begin(NextRequest());
      }
      if (streams_.num_running() == 0) break;
      Add(*streams_.NextEnded(absl::InfiniteFuture()), &result);
    }
    result.elapsed = absl::Now() - begin;
    result.client_cpu = ProcessCpu() - cpu;
    return result;
  }

 private:
  v1::GenerateRequest NextRequest() {
    v1::GenerateRequest request = options_.request;
    request.set_model(options_.models[static_cast<size_t>(next_) % options_.models.size()]);
    FillPrompt(options_.seed, next_, options_.vocabulary, options_.prompt_tokens,
               request.mutable_token_ids());
    ++next_;
    return request;
  }

  const LoadOptions& options_;
  int64_t next_ = 0;
  LoadStreams streams_;
};

}  // namespace

LoadResult RunLoad(const LoadOptions& options) {
  Load load(options);
  if (options.warmup > 0) {
    LoadResult warm = load.Run(options.warmup, absl::InfiniteFuture());
    if (warm.unreachable) return warm;
  }
  return load.Run(options.requests > 0 ? options.requests : -1,
                  options.duration ? absl::Now() + *options.duration : absl::InfiniteFuture());
}

}  // namespace chorus::cli
