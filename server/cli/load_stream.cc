#include "server/cli/load_stream.h"

#include <sys/resource.h>

#include <utility>

#include "absl/time/clock.h"
#include "server/cli/connection.h"

namespace chorus::cli {
namespace {

// Servers limit the streams of a connection, mostly to 100.
constexpr size_t kStreamsPerConnection = 64;

// SplitMix64's mixing function (Steele, Lea and Flood 2014).
uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace

void LoadStream::Begin(v1::GenerateRequest request) {
  request_ = std::move(request);
  reader_.reset();  // lies in memory of the context's call
  context_ = std::make_unique<grpc::ClientContext>();
  summary_.Clear();
  first_ = absl::InfiniteFuture();
  tokens_ = 0;
  itl_ms_.clear();
  begin_ = absl::Now();
  state_ = State::kStarting;
  reader_ = stub_->PrepareAsyncGenerate(context_.get(), request_, queue_);
  reader_->StartCall(this);
}

bool LoadStream::Advance(bool ok) {
  if (state_ == State::kFinishing) {
    end_ = absl::Now();
    if (status_.ok() && !summary_.has_usage()) {
      status_ = grpc::Status(grpc::StatusCode::DATA_LOSS, "the answer ended without a summary");
    }
    return true;
  }
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

void LoadStream::Take() {
  int tokens = 0;
  for (const v1::ChoiceDelta& delta : response_.choices()) tokens += delta.token_ids_size();
  if (tokens > 0) {
    const absl::Time now = absl::Now();
    if (first_ == absl::InfiniteFuture()) {
      first_ = now;
    } else {
      itl_ms_.insert(itl_ms_.end(), static_cast<size_t>(tokens),
                     absl::ToDoubleMilliseconds(now - last_) / tokens);
    }
    last_ = now;
    tokens_ += tokens;
  }
  if (response_.has_summary()) summary_ = response_.summary();
}

LoadStreams::~LoadStreams() {
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

LoadStream* LoadStreams::Take() {
  if (idle_.empty()) {
    if (streams_.size() % kStreamsPerConnection == 0) {
      stubs_.push_back(v1::Inference::NewStub(Connect(address_)));
    }
    streams_.push_back(std::make_unique<LoadStream>(stubs_.back().get(), &queue_));
    return streams_.back().get();
  }
  LoadStream* const stream = idle_.back();
  idle_.pop_back();
  return stream;
}

LoadStream* LoadStreams::NextEnded(absl::Time deadline) {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.AsyncNext(&tag, &ok, absl::ToChronoTime(deadline)) ==
         grpc::CompletionQueue::GOT_EVENT) {
    auto* const stream = static_cast<LoadStream*>(tag);
    if (!stream->Advance(ok)) {
      // Where events never end, the deadline is ours to see.
      if (absl::Now() >= deadline) return nullptr;
      continue;
    }
    idle_.push_back(stream);
    return stream;
  }
  return nullptr;
}

absl::Duration ProcessCpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

void FillPrompt(uint64_t seed, int64_t index, int32_t vocabulary, int32_t count,
                v1::TokenIds* ids) {
  uint64_t state = Mix(seed) ^ Mix(static_cast<uint64_t>(index) * 0x9E3779B97F4A7C15u + 1);
  ids->clear_ids();
  for (int32_t i = 0; i < count; ++i) {
    state += 0x9E3779B97F4A7C15u;
    ids->add_ids(static_cast<int32_t>(Mix(state) % static_cast<uint64_t>(vocabulary)));
  }
}

}  // namespace chorus::cli
