#include "tests/simt/simt_launch.h"

#include "kernels/check.h"
#include "tests/simt/simt_block.h"
#include "tests/simt/turns.h"

namespace chorus::kernels {

SimtReport RunSimt(const Kernel& kernel, int32_t blocks, int32_t shared_bytes, const void* params,
                   SimtMemory& memory, const SimtOptions& options) {
  CHORUS_CHECK_GT(blocks, 0);
  thread_local SimtCluster executor;  // its stacks are worth keeping
  SimtReport report;
  const SimtGrid grid{kernel, params, blocks, shared_bytes, memory, options, report};
  memory.BeginLaunch(blocks);
  executor.BeginLaunch(grid);
  const int32_t size = kernel.cluster_blocks;
  for (const int cluster : InOrder(options, blocks / size)) {
    if (!executor.Run(cluster * size)) break;
  }
  if (options.sites != nullptr) options.sites->insert(report.sites.begin(), report.sites.end());
  return report;
}

std::vector<SimtOptions> EveryOrder(uint32_t seed) {
  const auto warp = static_cast<int>(seed % 4);
  return {
      {.order = Order::kForward},
      {.order = Order::kReverse, .toward_zero = true},
      {.order = Order::kRandom, .seed = seed},
      {.order = Order::kAhead, .chosen_warp = warp + 1, .toward_zero = true},
      {.order = Order::kBehind, .chosen_warp = warp},
  };
}

std::string Name(const SimtOptions& options) {
  std::string name(Name(options.order));
  name += " order";
  if (options.order == Order::kRandom) name += ", seed " + std::to_string(options.seed);
  if (options.order == Order::kAhead || options.order == Order::kBehind) {
    name += ", chosen warp " + std::to_string(options.chosen_warp);
  }
  return options.toward_zero ? name + ", sums cut off" : name;
}

std::string RunInEveryOrder(const Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                            const void* params, SimtMemory& memory, uint32_t seed,
                            const std::function<void()>& prepare,
                            const std::function<std::string()>& check) {
  for (const SimtOptions& options : EveryOrder(seed)) {
    memory.PoisonOutputs();
    prepare();
    std::string failure = RunSimt(kernel, blocks, shared_bytes, params, memory, options).failure;
    if (failure.empty()) failure = check();
    if (!failure.empty()) return Name(options) + ": " + failure;
  }
  return "";
}

}  // namespace chorus::kernels
