// LoadStream: one request at a time of those that a load is made of, served by whoever takes its
// operations from a completion queue, and what it measured. LoadStreams: as many as are wanted.
#ifndef CHORUS_SERVER_CLI_LOAD_STREAM_H_
#define CHORUS_SERVER_CLI_LOAD_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "chorus/v1/inference.grpc.pb.h"

namespace chorus::cli {

class LoadStream {
 public:
  LoadStream(v1::Inference::Stub* stub, grpc::CompletionQueue* queue)
      : stub_(stub), queue_(queue) {}

  // REQUIRES: the request before has ended. The stream is the tag of its operations.
  void Begin(v1::GenerateRequest request);

  // Ends the request soon; it still has to be advanced. REQUIRES: it is under way.
  void Cancel() { context_->TryCancel(); }

  // What the queue said of the operation under way. True when the request has ended.
  bool Advance(bool ok);

  // Of the request that has ended.
  const grpc::Status& status() const { return status_; }  // DATA_LOSS without a summary
  const v1::Usage& usage() const { return summary_.usage(); }
  absl::Time begin() const { return begin_; }
  absl::Time first() const { return first_; }  // InfiniteFuture: no token came
  absl::Time end() const { return end_; }
  int64_t tokens() const { return tokens_; }  // that came
  // One for each token but those of the first message; tokens that come together share the time
  // since the message before.
  const std::vector<double>& itl_ms() const { return itl_ms_; }

 private:
  enum class State { kStarting, kReading, kFinishing };

  void Take();

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
  absl::Time end_;
  int64_t tokens_ = 0;
  std::vector<double> itl_ms_;
};

// The streams of one load and the queue that they share. One thread.
class LoadStreams {
 public:
  explicit LoadStreams(std::string address) : address_(std::move(address)) {}
  // REQUIRES: none is under way.
  ~LoadStreams();

  // A stream that is not under way.
  LoadStream* Take();
  // The next stream whose request has ended, and which may be taken again; null when none has by
  // `deadline`. REQUIRES: one is under way, or the deadline comes.
  LoadStream* NextEnded(absl::Time deadline);

  int64_t num_running() const { return static_cast<int64_t>(streams_.size() - idle_.size()); }

 private:
  const std::string address_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<v1::Inference::Stub>> stubs_;
  std::vector<std::unique_ptr<LoadStream>> streams_;
  std::vector<LoadStream*> idle_;
};

// User and system time of this process.
absl::Duration ProcessCpu();

// The ids of request `index`: the same for the same seed, whatever the order.
void FillPrompt(uint64_t seed, int64_t index, int32_t vocabulary, int32_t count, v1::TokenIds* ids);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_LOAD_STREAM_H_
