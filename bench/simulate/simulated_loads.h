// SimulatedLoads: a LoadQueue in virtual time, with the stages of a device: readers bring images
// from the store to the host, where the least recently used go when it is full; one stream copies
// them to the device in turn, and says of the one at its head that it arrives. A machine without a
// device reads straight into the pool.
//
//   waiting ─▶ read (or kept on the host) ─▶ copied, layer by layer ─▶ done
#ifndef CHORUS_BENCH_SIMULATE_SIMULATED_LOADS_H_
#define CHORUS_BENCH_SIMULATE_SIMULATED_LOADS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "bench/simulate/machines.h"
#include "engine/adapters/adapter_loader.h"
#include "engine/schedule/scheduler.h"

namespace chorus::bench {

using Nanos = int64_t;  // of virtual time
constexpr Nanos kNever = std::numeric_limits<Nanos>::max();

inline Nanos NanosOf(double seconds) { return static_cast<Nanos>(seconds * 1e9 + 0.5); }
inline double SecondsOf(Nanos time) { return static_cast<double>(time) * 1e-9; }

class SimulatedLoads : public engine::LoadQueue {
 public:
  explicit SimulatedLoads(const Machine& machine);

  void Start(engine::LoadJob job) override;
  void Cancel(uint64_t ticket) override;
  void Forget(const std::string& tenant, const engine::AdapterDigest& digest) override;

  // When something is due next; kNever when nothing is under way.
  Nanos next() const;
  // Does what is due up to `now` and tells the scheduler, then says how far the copies are.
  void Advance(Nanos now, engine::Scheduler* scheduler);
  // When the last layer will be there. REQUIRES: it arrives.
  Nanos EndOf(const engine::LayerArrivals* arrivals) const;

  // What a load ends with, once it has been read; OK where nothing was set.
  void OnRead(std::function<absl::Status(const engine::LoadJob&)> on_read) {
    on_read_ = std::move(on_read);
  }
  uint64_t num_host_hits() const { return num_host_hits_; }
  uint64_t num_started() const { return num_started_; }

 private:
  struct Load {
    engine::LoadJob job;
    Nanos begin = 0;  // of waiting, then of its copy
    Nanos end = 0;    // of its read, then of its copy
    std::shared_ptr<engine::LayerArrivals> arrivals;
  };
  using ImageKey = std::pair<std::string, engine::AdapterDigest>;
  struct Image {
    ImageKey key;
    int64_t bytes = 0;
  };

  static ImageKey KeyOf(const engine::LoadJob& job);
  int64_t BytesOf(const engine::LoadJob& job) const;
  void BeginRead(Nanos now);
  void EndRead(size_t reader, engine::Scheduler* scheduler);
  void BeginCopy(Nanos now, engine::Scheduler* scheduler);
  bool KeptOnHost(const engine::LoadJob& job);
  void KeepOnHost(const engine::LoadJob& job);
  void ReportProgress(Nanos now);

  const LoadTimes times_;
  const int32_t num_layers_;
  const int64_t page_bytes_;
  std::function<absl::Status(const engine::LoadJob&)> on_read_;
  Nanos now_ = 0;
  std::vector<engine::LoadDone> answers_;  // of loads that were cancelled
  std::deque<Load> waiting_;
  std::vector<std::unique_ptr<Load>> reading_;  // by reader, null: it is free
  std::deque<Load> copying_;                    // the first one is under way
  std::list<Image> images_;                     // the least recently used first
  std::map<ImageKey, std::list<Image>::iterator> by_key_;
  int64_t image_bytes_ = 0;
  uint64_t num_host_hits_ = 0;
  uint64_t num_started_ = 0;
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_SIMULATED_LOADS_H_
