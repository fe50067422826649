#include "server/cli/load_generator.h"

#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "chorus/v1/inference.grpc.pb.h"
#include "server/cli/connection.h"
#include "server/cli/error_text.h"

namespace chorus::cli {
namespace {

// Servers limit the streams of a connection, mostly to 100.
constexpr int32_t kStreamsPerConnection = 64;

absl::Duration ProcessCpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

// SplitMix64's mixing function (Steele, Lea and Flood 2014).
uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// One of the concurrent streams. It has one operation under way at a time, whose tag it is.
class LoadStream {
 public:
  LoadStream(v1::Inference::Stub* stub, grpc::CompletionQueue* queue)
      : stub_(stub), queue_(queue) {}

  void Begin(v1::GenerateRequest request) {
    request_ = std::move(request);
    reader_.reset();  // lies in memory of the context's call
    context_ = std::make_unique<grpc::ClientContext>();
    summary_.Clear();
    first_ = absl::InfinitePast();
    itl_ms_.clear();
    begin_ = absl::Now();
    state_ = State::kStarting;
    reader_ = stub_->PrepareAsyncGenerate(context_.get(), request_, queue_);
    reader_->StartCall(this);
  }

  // What the queue said of the operation under way. True when the request has ended.
  bool Advance(bool ok) {
    if (state_ == State::kFinishing) return true;
    if (ok && state_ == State::kReading) Take();
    if (ok) {
      state_ = State::kReading;
      reader_->Read(&response_, this);
    } else {
      state_ = State::kFinishing;
      reader_->Finish(&status_, this);
    }
    return false;
  }

  // REQUIRES: the request has ended.
  void AddTo(LoadResult* result) {
    ++result->requests;
    if (status_.ok() && !complete()) {
      status_ = grpc::Status(grpc::StatusCode::DATA_LOSS, "the answer ended without a summary");
    }
    if (!status_.ok()) {
      ++result->errors;
      ++result->problems[CodeName(status_.error_code()) + ": " + status_.error_message()];
      if (ExitCodeOf(status_) == ExitCode::kUnreachable) result->unreachable = status_;
      return;
    }
    result->prompt_tokens += summary_.usage().prompt_tokens();
    result->completion_tokens += summary_.usage().completion_tokens();
    if (first_ == absl::InfinitePast()) return;
    result->ttft_ms.push_back(absl::ToDoubleMilliseconds(first_ - begin_));
    result->itl_ms.insert(result->itl_ms.end(), itl_ms_.begin(), itl_ms_.end());
  }

 private:
  enum class State { kStarting, kReading, kFinishing };

  bool complete() const { return summary_.has_usage(); }

  void Take() {
    int tokens = 0;
    for (const v1::ChoiceDelta& delta : response_.choices()) tokens += delta.token_ids_size();
    if (tokens > 0) {
      const absl::Time now = absl::Now();
      if (first_ == absl::InfinitePast()) {
        first_ = now;
      } else {
        itl_ms_.insert(itl_ms_.end(), static_cast<size_t>(tokens),
                       absl::ToDoubleMilliseconds(now - last_) / tokens);
      }
      last_ = now;
    }
    if (response_.has_summary()) summary_ = response_.summary();
  }

  v1::Inference::Stub* const stub_;
  grpc::CompletionQueue* const queue_;
  State state_ = State::kStarting;
  v1::GenerateRequest request_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncReader<v1::GenerateResponse>> reader_;
  v1::GenerateResponse response_;
  v1::Summary summary_;
  grpc::Status status_;
  absl::Time begin_;
  absl::Time first_;
  absl::Time last_;
  std::vector<double> itl_ms_;
};

class Load {
 public:
  explicit Load(const LoadOptions& options) : options_(options) {
    for (int32_t i = 0; i < options.concurrency; ++i) {
      if (i % kStreamsPerConnection == 0) {
        stubs_.push_back(v1::Inference::NewStub(Connect(options.address)));
      }
      streams_.push_back(std::make_unique<LoadStream>(stubs_.back().get(), &queue_));
    }
  }

  ~Load() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  // At most `requests`, none begun after `end`.
  LoadResult Run(int64_t requests, absl::Time end) {
    LoadResult result;
    const absl::Time begin = absl::Now();
    const absl::Duration cpu = ProcessCpu();
    int64_t begun = 0;
    int64_t running = 0;
    const auto begin_next = [&](LoadStream* stream) {
      if (begun == requests || absl::Now() >= end) return;
      ++begun;
      ++running;
      stream->Begin(NextRequest());
    };
    for (const auto& stream : streams_) begin_next(stream.get());
    void* tag = nullptr;
    bool ok = false;
    while (running > 0 && queue_.Next(&tag, &ok)) {
      auto* stream = static_cast<LoadStream*>(tag);
      if (!stream->Advance(ok)) continue;
      stream->AddTo(&result);
      --running;
      // Where nobody listens, a loop would only spin.
      if (!result.unreachable) begin_next(stream);
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
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<v1::Inference::Stub>> stubs_;
  std::vector<std::unique_ptr<LoadStream>> streams_;
};

}  // namespace

void FillPrompt(uint64_t seed, int64_t index, int32_t vocabulary, int32_t count,
                v1::TokenIds* ids) {
  uint64_t state = Mix(seed) ^ Mix(static_cast<uint64_t>(index) * 0x9E3779B97F4A7C15u + 1);
  ids->clear_ids();
  for (int32_t i = 0; i < count; ++i) {
    state += 0x9E3779B97F4A7C15u;
    ids->add_ids(static_cast<int32_t>(Mix(state) % static_cast<uint64_t>(vocabulary)));
  }
}

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
