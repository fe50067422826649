// SimServer: scheduler, runner of devices and adapter loads over the simulator, in virtual time. As
// in the engine, but for its thread: the test's thread plays it, step by step; loads have their
// own.
#ifndef CHORUS_TESTS_SIMT_SIM_SERVER_H_
#define CHORUS_TESTS_SIMT_SIM_SERVER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/adapters/adapter_loader.h"
#include "engine/adapters/device_adapter_pages.h"
#include "engine/model/device_runner.h"
#include "engine/schedule/scheduler.h"
#include "kernels/mutex.h"
#include "tests/simt/library_ops_sim.h"
#include "tests/simt/sim_device.h"

namespace chorus::test {

struct SimServerOptions {
  kernels::SimOptions sim;
  engine::EngineOptions engine;
  int64_t pages = 256;
  int32_t max_graph_rows = 8;  // each bucket takes its time to capture
  engine::DeviceAdapterOptions adapters = {.pinned_bytes = 8 << 20, .chunk_bytes = 4096};
  bool early_steps = true;      // the scheduler hears of loads that arrive
  double told_step_time = 1.0;  // what it hears of a step's time is the truth times this
};

// What was heard of a request.
struct SimAnswer {
  std::vector<int32_t> tokens;
  std::vector<float> margins;  // of the best logprob over the second, when both were asked for
  std::vector<double> at_us;   // virtual time of each token
  bool ended = false;
  absl::Status status;
};

class SimServer {
 public:
  SimServer(const std::string& model_dir, const SimServerOptions& options);
  // Fails the test when the device was misused, or asked for memory while it ran.
  ~SimServer();

  // PEFT's two files as an adapter of this server's geometry.
  engine::AdapterRef MakeAdapter(const std::string& name, const std::string& config,
                                 const std::string& tensors) const;
  const engine::ModelConfig& config() const { return config_; }

  void Submit(engine::GenerateRequest request);
  engine::Scheduler& scheduler() { return *scheduler_; }
  // Delivers what loads have to say and runs a step; without one a little time passes.
  void Turn();
  void RunToEnd();

  const SimAnswer& answer(const std::string& id) { return answers_[id]; }
  double now_us() const { return sim_.now_us(); }
  int num_early_steps() const { return num_early_steps_; }  // that waited for layers
  engine::EngineStats stats() const;

 private:
  class VirtualClock : public engine::Clock {
   public:
    explicit VirtualClock(const kernels::SimDevice* sim) : sim_(*sim) {}
    absl::Time Now() const override {
      return absl::UnixEpoch() + absl::Microseconds(sim_.now_us());
    }

   private:
    const kernels::SimDevice& sim_;
  };

  void DeliverLoads();
  void Listen();

  const SimServerOptions options_;
  engine::ModelConfig config_;
  kernels::SimDevice sim_;
  const VirtualClock clock_{&sim_};
  SimLibraryOps ops_{&sim_};
  std::unique_ptr<engine::DeviceRunner> runner_;
  std::unique_ptr<engine::DeviceAdapterPages> target_;
  engine::StreamBell bell_;
  kernels::Mutex mutex_;
  std::vector<engine::LoadArriving> arriving_ CHORUS_GUARDED_BY(mutex_);
  std::vector<engine::LoadDone> done_ CHORUS_GUARDED_BY(mutex_);
  std::unique_ptr<engine::AdapterLoader> loader_;
  std::unique_ptr<engine::Scheduler> scheduler_;
  std::map<std::string, std::shared_ptr<engine::TokenStream>> streams_;
  std::map<std::string, SimAnswer> answers_;
  int num_early_steps_ = 0;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_SIM_SERVER_H_
