// When loads end: readers, the host's images and the copy stream, worked out by hand.
#include "bench/simulate/simulated_loads.h"

#include <string>

#include "bench/simulate/replica.h"
#include "bench/simulate/simulated_adapter.h"
#include "gtest/gtest.h"
#include "tests/bench/simulate/machine_of.h"

namespace chorus::bench {
namespace {

constexpr Nanos kMs = 1'000'000;

// A page takes 2 ms to read and 1 ms to copy, and a read takes 1 ms to begin.
Machine DeviceMachine() {
  Machine machine = MachineOf(1e-3, 1000);
  const double page = static_cast<double>(machine.pool_view().cell_bytes() * 2);
  machine.load = {.readers = 1,
                  .open_s = 1e-3,
                  .read_bytes_per_s = page / 2e-3,
                  .host_bytes = static_cast<int64_t>(page) * 1000,
                  .copy_bytes_per_s = page / 1e-3};
  return machine;
}

// Requests that wait for adapters: the first token of each says when its adapter was there.
class Loads : public ReplicaListener {
 public:
  explicit Loads(const Machine& machine, engine::EngineOptions options = {})
      : machine_(machine), replica_(machine, options, Replica::LimitsOf(machine), &runner_, this) {}

  engine::AdapterRef Adapter(int64_t index, int32_t rank) {
    return std::make_shared<LayoutAdapter>("t", index, LayoutOfRank(machine_, rank, false));
  }
  void Ask(uint64_t number, engine::AdapterRef adapter, Nanos now) {
    engine::GenerateRequest request;
    request.adapter = std::move(adapter);
    request.prompt = {static_cast<int32_t>(number), 2, 3};
    request.max_tokens = 1;
    request.ignore_eos = true;
    RunUntil(now);
    replica_.Submit(number, std::move(request), now);
  }
  void RunUntil(Nanos time) {
    while (replica_.next() <= time && replica_.next() != kNever) replica_.Advance();
  }
  void OnEvent(uint64_t number, const engine::StreamEvent& event, Nanos now) override {
    if (event.kind == engine::StreamEvent::Kind::kToken) token[number] = now;
    if (event.kind == engine::StreamEvent::Kind::kFinished) finished[number] = event;
  }

  std::map<uint64_t, Nanos> token;  // the first one's time
  std::map<uint64_t, engine::StreamEvent> finished;
  Replica& replica() { return replica_; }

 private:
  const Machine machine_;
  TokenRunner runner_;
  Replica replica_;
};

TEST(SimulatedLoadsTest, AReadThenACopyThenAStep) {
  const Machine machine = DeviceMachine();
  Loads loads(machine);
  const auto adapter = loads.Adapter(0, 8);
  const Nanos pages = adapter->layout().num_ids;
  loads.Ask(1, adapter, 0);
  loads.RunUntil(kNever);
  // Opened in 1 ms, read at 2 ms a page and copied at 1; then a step of 1 ms.
  EXPECT_EQ(loads.token[1], (1 + 3 * pages + 1) * kMs);
}

TEST(SimulatedLoadsTest, OneReadsWhileTheOtherIsCopied) {
  Loads loads(DeviceMachine());
  const auto first = loads.Adapter(0, 8), second = loads.Adapter(1, 16);
  const Nanos a = first->layout().num_ids, b = second->layout().num_ids;
  loads.Ask(1, first, 0);
  loads.Ask(2, second, 0);
  loads.RunUntil(kNever);
  EXPECT_EQ(loads.token[1], (1 + 3 * a + 1) * kMs);
  EXPECT_EQ(loads.token[2], (1 + 2 * a + 1 + 2 * b + b + 1) * kMs);
}

TEST(SimulatedLoadsTest, WhatIsForgottenIsReadAgain) {
  Loads loads(DeviceMachine());
  const auto adapter = loads.Adapter(0, 8);
  loads.Ask(1, adapter, 0);
  loads.RunUntil(100 * kMs);
  const auto key = engine::Residency::KeyOf(*adapter);
  loads.replica().Post([&](engine::Scheduler* s, absl::Time) { s->Forget(key); }, 100 * kMs);
  loads.Ask(2, adapter, 300 * kMs);
  loads.RunUntil(kNever);
  EXPECT_EQ(loads.replica().loads()->num_host_hits(), 0u);
  EXPECT_EQ(loads.token[2], (300 + 1 + 3 * adapter->layout().num_ids + 1) * kMs);
}

TEST(SimulatedLoadsTest, TheHostKeepsWhatWasUsedLast) {
  Machine machine = DeviceMachine();
  // Room in the pool for one adapter beside the requests, on the host for two.
  const int64_t pages = LayoutOfRank(machine, 8, false).num_ids;
  machine.pool_pages = pages + 4;
  machine.load.host_bytes = 2 * pages * machine.pool_view().cell_bytes() * 2;
  engine::EngineOptions options;
  options.pin_budget = 0.0;
  Loads loads(machine, options);
  const std::vector<engine::AdapterRef> adapters = {loads.Adapter(0, 8), loads.Adapter(1, 8),
                                                    loads.Adapter(2, 8)};
  // Asked in turns; each pushes the one before out of the pool.
  const int turns[] = {0, 1, 0, 2, 0, 1};
  const bool kept[] = {false, false, true, false, true, false};
  for (uint64_t i = 0; i < 6; ++i) {
    const Nanos now = static_cast<Nanos>(i) * 1000 * kMs;
    loads.Ask(i + 1, adapters[static_cast<size_t>(turns[i])], now);
    loads.RunUntil(now + 900 * kMs);
    const Nanos read = kept[i] ? 0 : 1 + 2 * pages;
    EXPECT_EQ(loads.token[i + 1], now + (read + pages + 1) * kMs) << i;
  }
  EXPECT_EQ(loads.replica().loads()->num_host_hits(), 2u);
}

TEST(SimulatedLoadsTest, WithoutADeviceAReadIsAll) {
  Machine machine = DeviceMachine();
  machine.load.copy_bytes_per_s = 0.0;
  Loads loads(machine);
  const auto adapter = loads.Adapter(0, 8);
  loads.Ask(1, adapter, 0);
  loads.RunUntil(kNever);
  EXPECT_EQ(loads.token[1], (1 + 2 * adapter->layout().num_ids + 1) * kMs);
}

TEST(SimulatedLoadsTest, AFailedReadEndsItsRequestsAndTheNextReadServesTheNext) {
  Loads loads(DeviceMachine());
  bool fail = true;
  loads.replica().loads()->OnRead([&](const engine::LoadJob&) {
    return fail ? absl::DataLossError("torn") : absl::OkStatus();
  });
  const auto adapter = loads.Adapter(0, 8);
  loads.Ask(1, adapter, 0);
  loads.RunUntil(100 * kMs);
  EXPECT_EQ(loads.finished[1].reason, engine::FinishReason::kError);
  EXPECT_EQ(loads.finished[1].status.message(), "torn");
  fail = false;
  loads.Ask(2, adapter, 200 * kMs);
  loads.RunUntil(kNever);
  EXPECT_EQ(loads.finished[2].reason, engine::FinishReason::kLength);
}

TEST(SimulatedLoadsTest, ACancelledReadMakesRoomForTheNextAtOnce) {
  Loads loads(DeviceMachine());
  const auto first = loads.Adapter(0, 16), second = loads.Adapter(1, 8);
  loads.Ask(1, first, 0);
  loads.Ask(2, second, 0);
  loads.RunUntil(3 * kMs);
  loads.replica().Post([](engine::Scheduler* s,
                          absl::Time) { s->Cancel("1", -1, engine::FinishReason::kCancelled); },
                       4 * kMs);
  loads.RunUntil(kNever);
  EXPECT_EQ(loads.finished[1].reason, engine::FinishReason::kCancelled);
  EXPECT_EQ(loads.token[2], (4 + 1 + 3 * second->layout().num_ids + 1) * kMs);
}

}  // namespace
}  // namespace chorus::bench
