// SoakPhase: one scheduler's life in a soak.
#ifndef CHORUS_BENCH_SIMULATE_SOAK_PHASE_H_
#define CHORUS_BENCH_SIMULATE_SOAK_PHASE_H_

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "bench/simulate/replica.h"
#include "tests/support/fake_runner.h"

namespace chorus::bench {

using SoakCounts = std::map<std::string, uint64_t>;

class SoakPhase : public ReplicaListener {
 public:
  SoakPhase(int64_t requests, uint64_t seed, SoakCounts* counts);

  // To the last answer, and then until the pool is empty but for the base's prefixes.
  void Run();

  void OnEvent(uint64_t number, const engine::StreamEvent& event, Nanos now) override;

 private:
  struct Adapter {
    int64_t index = 0;  // of its content
    engine::AdapterRef version;
  };
  struct Choice {
    std::vector<int32_t> tokens;
    bool finished = false;
  };
  struct Live {
    engine::GenerateRequest request;
    std::vector<Choice> choices;
    int32_t unfinished = 0;
    bool cancelled = false;
  };

  int64_t Between(int64_t least, int64_t most);
  bool Chance(int percent) { return Between(1, 100) <= percent; }
  size_t Index(size_t size) { return static_cast<size_t>(random_() % size); }
  Machine RandomMachine();
  engine::EngineOptions RandomOptions();
  engine::RunnerLimits RandomLimits();
  engine::GenerateRequest RandomRequest();
  Adapter RandomAdapter();

  void Arrive();
  void CancelOne();
  void Delete(const Adapter& adapter);
  void DeleteOne();
  void PinOne();
  void AdvanceTo(Nanos time);
  void CheckPages() const;
  void CheckChoice(const Live& live, int32_t choice, const engine::StreamEvent& event, Nanos now);
  void EmptyThePool();

  const int64_t num_requests_;
  std::mt19937_64 random_;
  SoakCounts& counts_;
  const Machine machine_;
  const engine::EngineOptions options_;
  const engine::RunnerLimits limits_;
  engine::FakeRunner runner_;
  Replica replica_;
  std::vector<Adapter> adapters_;
  int64_t next_adapter_ = 0;
  absl::flat_hash_map<uint64_t, Live> live_;
  uint64_t next_number_ = 1;
  Nanos now_ = 0;
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_SIMULATE_SOAK_PHASE_H_
