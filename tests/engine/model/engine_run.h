// EngineRun: a real Engine with threads, over a CpuRunner or over a backend, and what its readers
// hear. The test's thread plays all clients.
#ifndef CHORUS_TESTS_ENGINE_MODEL_ENGINE_RUN_H_
#define CHORUS_TESTS_ENGINE_MODEL_ENGINE_RUN_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/backend/backend.h"
#include "engine/engine.h"
#include "engine/model/model_config.h"
#include "tests/support/fake_clock.h"
#include "tests/support/test_pool.h"

namespace chorus::test {

struct EngineRunOptions {
  engine::EngineOptions engine;
  kernels::DType dtype = kernels::DType::kF32;
  int num_workers = 1;
  int64_t host_pages = 0;  // slots for KV outside the pool
  int64_t num_pages = 256;
};

// What was heard of one choice, with floats as their bits: equal means equal in every bit.
struct HeardChoice {
  struct Token {
    int32_t id = 0;
    uint32_t logprob = 0;
    std::vector<std::pair<int32_t, uint32_t>> top;
    bool operator==(const Token&) const = default;
  };
  std::vector<Token> tokens;
  bool ended = false;
  engine::FinishReason reason = engine::FinishReason::kStop;
  int32_t stop_token = -1;
  std::string error;

  bool operator==(const HeardChoice&) const = default;
  // For messages.
  std::string Text() const;
};

class EngineRun {
 public:
  static absl::StatusOr<std::unique_ptr<EngineRun>> Start(const std::string& model_dir,
                                                          const EngineRunOptions& options);
  // Over a backend of this model, which was made for `options`.
  static absl::StatusOr<std::unique_ptr<EngineRun>> Start(const engine::ModelConfig& config,
                                                          engine::Backend backend,
                                                          const engine::EngineOptions& options);
  ~EngineRun();

  absl::Status Submit(const engine::GenerateRequest& request);
  // Waits for news and hears it. REQUIRES: something submitted has not ended.
  void Listen();
  // Until everything submitted has ended.
  void ListenToEnd();

  engine::Engine& engine() { return *engine_; }
  int64_t num_live() const { return num_live_; }          // choices that have not ended
  int64_t tokens_heard() const { return tokens_heard_; }  // of all requests
  const std::vector<HeardChoice>& heard(const std::string& request_id) const {
    return heard_.at(request_id);
  }

 private:
  EngineRun() = default;

  absl::Status StartEngine(const engine::ModelConfig& config, engine::Engine::Model model,
                           engine::EngineOptions options);
  void Hear(const engine::StreamEvent& event, HeardChoice* choice);

  FakeClock clock_;
  std::optional<TestPool> memory_;  // of a CpuRunner
  std::vector<std::byte> host_pages_;
  engine::Backend backend_;  // what the engine did not take
  const std::shared_ptr<engine::StreamBell> bell_ = std::make_shared<engine::StreamBell>();
  std::unique_ptr<engine::Engine> engine_;
  std::map<const engine::TokenStream*, std::string> names_;
  std::vector<std::shared_ptr<engine::TokenStream>> streams_;  // keeps the names' keys alive
  std::map<std::string, std::vector<HeardChoice>> heard_;
  int64_t num_live_ = 0;
  int64_t tokens_heard_ = 0;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_MODEL_ENGINE_RUN_H_
