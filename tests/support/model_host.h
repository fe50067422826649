// ModelHost: a model with its runner and its pool, for tests that decide themselves what runs in
// which step. Pages come from a PagePool, adapters by PEFT reader, image and AdapterLoader, as in
// the server; only the scheduler is missing. One thread.
#ifndef CHORUS_TESTS_SUPPORT_MODEL_HOST_H_
#define CHORUS_TESTS_SUPPORT_MODEL_HOST_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_version.h"
#include "engine/memory/page_pool.h"
#include "engine/model/model_config.h"
#include "engine/model/runner.h"
#include "tests/support/test_pool.h"

namespace chorus::test {

struct HostOptions {
  kernels::DType dtype = kernels::DType::kF32;
  int num_workers = 1;
  int64_t num_pages = 64;
  int64_t host_pages = 0;  // of a CPU: slots outside the pool
  kernels::BTileOrder b_tiles = kernels::BTileOrder::kRankRows;
};

// Tokens and the pages that hold their K and V.
struct HostSequence {
  int32_t slot = -1;        // of its adapter, -1: the base model
  int64_t active_from = 0;  // the first position that the adapter computes
  std::vector<int32_t> tokens;
  engine::PageLease pages;
};

// What one sequence does in a step: `tokens` are appended to it and computed.
struct StepPart {
  HostSequence* sequence = nullptr;
  std::vector<int32_t> tokens;
};

// What a host runs on.
class HostBackend {
 public:
  virtual ~HostBackend() = default;
  virtual engine::Runner& runner() = 0;
  // The logits of `rows`: [rows, vocabulary].
  virtual absl::StatusOr<std::vector<float>> RunForLogits(const engine::StepPlan& plan,
                                                          std::span<const int32_t> rows) = 0;
  // The loader has filled these cells of the host's pool.
  virtual absl::Status TakeCells(std::span<const int32_t> cells) = 0;
};

class ModelHost {
 public:
  // The pool is the host's memory.
  using MakeBackend = std::function<absl::StatusOr<std::unique_ptr<HostBackend>>(
      const engine::ModelConfig& config, const kernels::PoolView& pool)>;

  // On the CPU.
  static absl::StatusOr<std::unique_ptr<ModelHost>> Open(const std::string& model_dir,
                                                         const HostOptions& options);
  static absl::StatusOr<std::unique_ptr<ModelHost>> Open(const std::string& model_dir,
                                                         const HostOptions& options,
                                                         const MakeBackend& make);

  const engine::ModelConfig& config() const { return config_; }
  const kernels::PoolView& pool_view() const { return memory_.view(); }
  HostBackend& backend() { return *backend_; }

  // Leases pages, loads the adapter into them and gives it the next slot, from the next step on.
  absl::StatusOr<int32_t> Load(const engine::AdapterRef& adapter);

  // A step over all parts, in any order of adapters, whose rows are not sampled yet; with the rows
  // of each part. The plan has to run.
  struct Planned {
    engine::StepPlan plan;
    std::vector<std::vector<int32_t>> rows;
  };
  absl::StatusOr<Planned> Plan(std::span<const StepPart> parts);

  // One step over all parts, in any order of adapters. The logits of every row that ran, part by
  // part: result[part][row] is [vocabulary].
  using Logits = std::vector<std::vector<float>>;
  absl::StatusOr<std::vector<Logits>> Step(std::span<const StepPart> parts);

  // One sequence alone, from nothing, `chunk` tokens a step; its logits at every position.
  absl::StatusOr<Logits> RunAlone(std::span<const int32_t> tokens, int32_t slot, size_t chunk);

 private:
  ModelHost(engine::ModelConfig config, const HostOptions& options);

  // Leases what the part needs.
  absl::Status AddPages(const StepPart& part);

  const engine::ModelConfig config_;
  TestPool memory_;
  engine::PagePool pages_;
  std::list<engine::PageLease> adapter_pages_;
  std::vector<engine::SlotChange> slot_changes_;
  int32_t num_slots_ = 0;
  uint64_t epoch_ = 0;
  std::unique_ptr<HostBackend> backend_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_MODEL_HOST_H_
