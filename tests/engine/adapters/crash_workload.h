// Workloads for crash tests: what a client did, what it was told, and whether a store that came
// back after a crash keeps to it:
//   every acknowledged version is there, readable, with its digest and its pin;
//   what was under way is done or not done, never half;
//   nothing else is there: no other name, no staged file, no object without a manifest.
#ifndef CHORUS_TESTS_ENGINE_ADAPTERS_CRASH_WORKLOAD_H_
#define CHORUS_TESTS_ENGINE_ADAPTERS_CRASH_WORKLOAD_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/adapters/catalog_harness.h"

namespace chorus::test {

struct Step {
  enum class Kind { kPut, kDelete, kPin, kUnpin } kind = Kind::kPut;
  std::string tenant;
  std::string name;
  uint64_t seed = 0;  // of the adapter that is put
};

struct Workload {
  std::string name;
  std::vector<Step> steps;
};

// The six that every crash test goes through.
std::vector<Workload> CrashWorkloads();

using NameKey = std::pair<std::string, std::string>;  // tenant, name

struct Known {
  int64_t version = 0;
  engine::AdapterDigest digest;
  bool pinned = false;
  bool operator==(const Known&) const = default;
};
using Contents = std::map<NameKey, Known>;

// One step, as a client of the catalog.
absl::StatusOr<engine::AdapterInfo> RunStep(const Step& step, engine::Catalog& catalog);
// The adapter that a step puts: larger ones from seed 100 on.
SmallAdapter AdapterOf(uint64_t seed);

// What a step makes of the contents; `info` is the answer.
void ApplyStep(const Step& step, const engine::AdapterInfo& info, Contents* contents);

// What the client knows: what stood when the last answer came, and what may stand instead because
// a step is under way.
struct Expectation {
  Contents acked;
  std::optional<Step> in_flight;
  // The answer that the step would have had, when it is known (from a run without a crash).
  std::optional<engine::AdapterInfo> answer;
};

// Runs the steps, background work between them, until one fails. Calls `before` and `after` around
// each with the step's index.
absl::Status RunWorkload(const Workload& workload, CatalogHarness& harness,
                         const std::function<void(size_t)>& before,
                         const std::function<void(size_t, const engine::AdapterInfo&)>& after);

// The answers of a run without faults, one a step.
std::vector<engine::AdapterInfo> AnswersOf(const Workload& workload);

// What the catalog shows: READY adapters whose images load and whose files (by path below the
// store) have their hashes. Anything else is a line in `problems`.
Contents ContentsOf(const engine::Catalog& catalog, const std::map<std::string, std::string>& files,
                    std::vector<std::string>* problems);
Contents ContentsOf(CatalogHarness& harness, std::vector<std::string>* problems);

std::string Show(const Contents& contents);

// Starts a store on the disk and compares. Empty when all is well.
std::vector<std::string> CheckRecovery(std::shared_ptr<FaultDisk> disk,
                                       const Expectation& expectation);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_ADAPTERS_CRASH_WORKLOAD_H_
