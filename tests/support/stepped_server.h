// SteppedServer: scheduler, runner of devices and adapter loads over any device. As in the engine,
// but for its thread: the test's thread plays it, step by step; loads have their own.
#ifndef CHORUS_TESTS_SUPPORT_STEPPED_SERVER_H_
#define CHORUS_TESTS_SUPPORT_STEPPED_SERVER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/adapters/adapter_loader.h"
#include "engine/adapters/device_adapter_pages.h"
#include "engine/model/device_runner.h"
#include "engine/schedule/scheduler.h"
#include "kernels/mutex.h"
#include "tests/support/device_backend.h"

namespace chorus::test {

// A device, and what it has to hear from the thread that runs the steps.
struct ServerDevice {
  DeviceSetup setup;
  std::shared_ptr<const engine::Clock> clock;
  std::function<void()> begin = [] {};  // nothing allocates any more
  std::function<void()> idle = [] {};   // there was no step to run
  std::function<void()> end = [] {};    // no step comes any more
  // How long each turn lets loads do what they can do at this moment, where time is virtual: their
  // threads have none.
  std::chrono::milliseconds pause{0};
};
using MakeServerDevice = std::function<absl::StatusOr<ServerDevice>()>;

struct SteppedServerOptions {
  engine::EngineOptions engine;
  int64_t pages = 256;         // 0: as many as fit, less a GiB
  bool last_pages = false;     // the scheduler's first ids are the pool's last, and so on
  int32_t max_graph_rows = 8;  // each bucket takes its time to capture
  engine::DeviceAdapterOptions adapters = {.pinned_bytes = 8 << 20, .chunk_bytes = 4096};
  bool early_steps = true;      // the scheduler hears of loads that arrive
  double told_step_time = 1.0;  // what it hears of a step's time is the truth times this
};

// What was heard of a request.
struct ServerAnswer {
  std::vector<int32_t> tokens;
  std::vector<float> margins;  // of the best logprob over the second, when both were asked for
  std::vector<double> at_us;   // when each token came
  bool ended = false;
  absl::Status status;
};

class SteppedServer {
 public:
  SteppedServer(const std::string& model_dir, ServerDevice device,
                const SteppedServerOptions& options);
  // Fails the test when the device was misused, or asked for memory while it ran.
  ~SteppedServer();

  // PEFT's two files as an adapter of this server's geometry.
  engine::AdapterRef MakeAdapter(const std::string& name, const std::string& config,
                                 const std::string& tensors) const;
  const engine::ModelConfig& config() const { return config_; }

  void Submit(engine::GenerateRequest request);
  engine::Scheduler& scheduler() { return *scheduler_; }
  // Delivers what loads have to say and runs a step; without one a little time passes.
  void Turn();
  void RunToEnd();

  const ServerAnswer& answer(const std::string& id) { return answers_[id]; }
  double now_us() const { return absl::ToDoubleMicroseconds(Now() - absl::UnixEpoch()); }
  int num_early_steps() const { return num_early_steps_; }  // that waited for layers
  engine::EngineStats stats() const;

 private:
  absl::Time Now() const { return device_.clock->Now(); }
  void DeliverLoads();
  void Listen();

  const SteppedServerOptions options_;
  engine::ModelConfig config_;
  ServerDevice device_;
  std::unique_ptr<engine::DeviceRunner> runner_;
  std::unique_ptr<engine::DeviceAdapterPages> pages_;
  std::unique_ptr<engine::AdapterTarget> target_;  // over them
  engine::StreamBell bell_;
  kernels::Mutex mutex_;
  std::vector<engine::LoadArriving> arriving_ CHORUS_GUARDED_BY(mutex_);
  std::vector<engine::LoadDone> done_ CHORUS_GUARDED_BY(mutex_);
  std::unique_ptr<engine::AdapterLoader> loader_;
  std::unique_ptr<engine::Scheduler> scheduler_;
  std::map<std::string, std::shared_ptr<engine::TokenStream>> streams_;
  std::map<std::string, ServerAnswer> answers_;
  int num_early_steps_ = 0;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_STEPPED_SERVER_H_
