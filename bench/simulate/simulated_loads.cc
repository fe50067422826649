#include "bench/simulate/simulated_loads.h"

#include <algorithm>
#include <utility>

#include "kernels/check.h"

namespace chorus::bench {

SimulatedLoads::SimulatedLoads(const Machine& machine)
    : times_(machine.load),
      num_layers_(machine.model.layers),
      page_bytes_(machine.pool_view().cell_bytes() * machine.model.layers),
      reading_(static_cast<size_t>(machine.load.readers)) {}

void SimulatedLoads::Start(engine::LoadJob job) {
  ++num_started_;
  waiting_.push_back({.job = std::move(job), .begin = now_});
}

void SimulatedLoads::Cancel(uint64_t ticket) {
  const auto is_it = [&](const Load& load) { return load.job.ticket == ticket; };
  const auto drop = [&](std::deque<Load>* loads, ptrdiff_t from) {
    const auto found = std::find_if(loads->begin() + from, loads->end(), is_it);
    if (found == loads->end()) return;
    answers_.push_back({ticket, absl::CancelledError("load cancelled")});
    loads->erase(found);
  };
  drop(&waiting_, 0);
  if (!copying_.empty()) drop(&copying_, 1);  // the first one goes on to its end
  for (std::unique_ptr<Load>& load : reading_) {
    if (load == nullptr || !is_it(*load)) continue;
    answers_.push_back({ticket, absl::CancelledError("load cancelled")});
    load.reset();
  }
}

void SimulatedLoads::Forget(const std::string& tenant, const engine::AdapterDigest& digest) {
  const auto found = by_key_.find({tenant, digest});
  if (found == by_key_.end()) return;
  image_bytes_ -= found->second->bytes;
  images_.erase(found->second);
  by_key_.erase(found);
}

Nanos SimulatedLoads::next() const {
  if (!answers_.empty()) return now_;
  Nanos next = copying_.empty() ? kNever : copying_.front().end;
  for (const std::unique_ptr<Load>& load : reading_) {
    if (load != nullptr) {
      next = std::min(next, load->end);
    } else if (!waiting_.empty()) {
      return now_;
    }
  }
  return next;
}

void SimulatedLoads::Advance(Nanos now, engine::Scheduler* scheduler) {
  while (next() <= now) {
    for (engine::LoadDone& done : std::exchange(answers_, {})) {
      scheduler->OnLoadDone(done, absl::FromUnixNanos(now_));
    }
    BeginRead(now_);
    const Nanos due = next();
    if (due > now) break;
    now_ = std::max(now_, due);
    if (!copying_.empty() && copying_.front().end == due) {
      const uint64_t ticket = copying_.front().job.ticket;
      copying_.pop_front();
      scheduler->OnLoadDone({ticket, absl::OkStatus()}, absl::FromUnixNanos(now_));
      BeginCopy(now_, scheduler);
      continue;
    }
    for (size_t reader = 0; reader < reading_.size(); ++reader) {
      if (reading_[reader] != nullptr && reading_[reader]->end == due) EndRead(reader, scheduler);
    }
  }
  now_ = now;
  ReportProgress(now);
}

Nanos SimulatedLoads::EndOf(const engine::LayerArrivals* arrivals) const {
  CHORUS_CHECK(!copying_.empty() && copying_.front().arrivals.get() == arrivals);
  return copying_.front().end;
}

void SimulatedLoads::BeginRead(Nanos now) {
  for (std::unique_ptr<Load>& reader : reading_) {
    if (waiting_.empty()) return;
    if (reader != nullptr) continue;
    reader = std::make_unique<Load>(std::move(waiting_.front()));
    waiting_.pop_front();
    double seconds = 0.0;
    if (KeptOnHost(reader->job)) {
      ++num_host_hits_;
    } else {
      seconds = times_.open_s + static_cast<double>(BytesOf(reader->job)) / times_.read_bytes_per_s;
    }
    reader->end = std::max(now, reader->begin) + NanosOf(seconds);
  }
}

void SimulatedLoads::EndRead(size_t reader, engine::Scheduler* scheduler) {
  Load load = std::move(*reading_[reader]);
  reading_[reader].reset();
  const absl::Status status = on_read_ ? on_read_(load.job) : absl::OkStatus();
  if (!status.ok() || times_.copy_bytes_per_s == 0.0) {
    scheduler->OnLoadDone({load.job.ticket, status}, absl::FromUnixNanos(now_));
    return;
  }
  KeepOnHost(load.job);
  copying_.push_back(std::move(load));
  if (copying_.size() == 1) BeginCopy(now_, scheduler);
}

// The first of copying_ arrives.
void SimulatedLoads::BeginCopy(Nanos now, engine::Scheduler* scheduler) {
  if (copying_.empty()) return;
  Load& load = copying_.front();
  load.begin = now;
  load.end = now + NanosOf(static_cast<double>(BytesOf(load.job)) / times_.copy_bytes_per_s);
  load.arrivals = std::make_shared<engine::LayerArrivals>(engine::LayerArrivals::Events());
  ReportProgress(now);
  scheduler->OnLoadArriving({load.job.ticket, load.arrivals});
}

void SimulatedLoads::ReportProgress(Nanos now) {
  if (copying_.empty()) return;
  const Load& load = copying_.front();
  const Nanos layer = std::max<Nanos>((load.end - load.begin) / num_layers_, 1);
  const Nanos there = std::min<Nanos>((now - load.begin) / layer, num_layers_);
  load.arrivals->SetProgress({.layers_there = static_cast<int32_t>(there),
                              .at = absl::FromUnixNanos(load.begin + there * layer),
                              .layer_time = absl::Nanoseconds(layer)});
}

SimulatedLoads::ImageKey SimulatedLoads::KeyOf(const engine::LoadJob& job) {
  return {job.adapter->tenant(), job.adapter->digest()};
}

int64_t SimulatedLoads::BytesOf(const engine::LoadJob& job) const {
  return job.adapter->layout().num_ids * page_bytes_;
}

bool SimulatedLoads::KeptOnHost(const engine::LoadJob& job) {
  const auto found = by_key_.find(KeyOf(job));
  if (found == by_key_.end()) return false;
  images_.splice(images_.end(), images_, found->second);
  return true;
}

void SimulatedLoads::KeepOnHost(const engine::LoadJob& job) {
  const int64_t bytes = BytesOf(job);
  if (bytes > times_.host_bytes || by_key_.contains(KeyOf(job))) return;
  while (image_bytes_ + bytes > times_.host_bytes) {
    image_bytes_ -= images_.front().bytes;
    by_key_.erase(images_.front().key);
    images_.pop_front();
  }
  images_.push_back({KeyOf(job), bytes});
  by_key_[KeyOf(job)] = std::prev(images_.end());
  image_bytes_ += bytes;
}

}  // namespace chorus::bench
