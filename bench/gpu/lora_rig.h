// What the LoRA kernels are measured with on a GPU: the adapters of a Llama-3-8B on shuffled pages
// of a pool that is filled by a hash, so that the host knows every element without a copy; the
// tables of one step; launches, graphs and their times. One thread, one stream of the rig's own. An
// error of CUDA ends the process with the place and the error's name.
#ifndef CHORUS_BENCH_GPU_LORA_RIG_H_
#define CHORUS_BENCH_GPU_LORA_RIG_H_

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/gpu/hash_bf16.h"
#include "kernels/lora/expand_kernel.h"
#include "kernels/lora/lora_plan_kernel.h"

namespace chorus::bench {

void CheckCuda(cudaError_t error, const char* file = __builtin_FILE(), int line = __builtin_LINE());

constexpr int kLayers = 32;
extern const kernels::LoraSiteShape kSites[kernels::kNumLoraSites];

// A batch: rows of each segment, and the rank of its adapter.
struct LoraCase {
  std::string name;
  std::vector<int> segments;
  std::vector<int> ranks;
  bool attention_only = false;

  int num_sites() const { return attention_only ? 2 : kernels::kNumLoraSites; }
};

class LoraRig {
 public:
  // `num_ids`: pages of the pool, each of kLayers cells of 64 KiB.
  explicit LoraRig(int64_t num_ids);
  LoraRig(const LoraRig&) = delete;
  LoraRig& operator=(const LoraRig&) = delete;

  const cudaDeviceProp& properties() const { return properties_; }
  // Bytes per second, the best of eight; a copy's bytes count twice.
  double ReadBandwidth();
  double CopyBandwidth();

  // From the next Load on: sites run in clusters of 4 or 8 blocks, which takes compute capability
  // 9.0; 0: as a shrink and an expand.
  void SetCluster(int blocks);
  int cluster() const { return plan_.cluster_blocks; }

  // Makes the case's tables, in place of those of the case before. The rest is about that case.
  void Load(const LoraCase& c);
  // Of its adapters, at one layer of a site.
  int64_t site_bytes(int site) const { return site_bytes_[site]; }

  // Whether a kernel but the plan may begin before the kernel before it is done.
  void set_early(bool early) { early_ = early; }
  void Plan();
  // A site: in clusters, or as a shrink and an expand.
  void Run(int layer, int site);
  void Shrink(int layer, int site);
  void Expand(int layer, int site);

  // Seconds of a replay of `work`, which launches, as one graph: the median of 30.
  double TimeGraph(const std::function<void()>& work);

  // The largest error of a layer's outputs over its bound: above 1 is a failure. Looks at every
  // third row, and at all rows of small segments.
  double Check(int layer);

 private:
  void AllocateInputs();
  int32_t PlaceAdapter(const LoraCase& c, int adapter);
  void PlaceAdapters(const LoraCase& c);
  int32_t ListCapacity(const LoraCase& c) const;
  int32_t ClusterCapacity(const LoraCase& c) const;
  void RunClusters(int layer, int site);
  static cudaLaunchAttribute ClusterAttribute(const kernels::Kernel& kernel);
  void FreeTables();

  kernels::LoraWork Work(int layer, int site, bool expand) const;
  void Launch(const kernels::Kernel& kernel, int blocks, const void* params, bool may_be_early);
  int resident_blocks() const;
  double Time(const std::function<void()>& work);

  float PoolElement(int slot, int tile, int element) const;
  double CheckModule(int layer, int site, int site_module, int slot, int row, const float* delta);

  cudaDeviceProp properties_;
  cudaStream_t stream_;
  kernels::PoolCells pool_;
  uint16_t* x_[kernels::kNumLoraSites] = {};
  float* delta_[kernels::kNumLoraSites] = {};
  kernels::LoraPlanes planes_;
  kernels::LoraPlanParams plan_;
  const kernels::Kernel* cluster_ = nullptr;
  int resident_clusters_ = 0;
  bool early_ = false;
  bool first_ = true;  // of a graph, or after the plan: waits for what is before it
  int rows_ = 0;
  int ids_stride_ = 0;
  std::vector<int64_t> site_bytes_;
  // What the device's tables hold.
  std::vector<kernels::LoraModuleEntry> entries_;
  std::vector<int32_t> ids_;
  std::vector<int32_t> num_ids_;
  std::vector<kernels::LoraSegment> segments_;
};

// Widths of the modules.
int ModuleInputs(int module);
int ModuleOutputs(int module);
int SiteWidth(int site);

// Element i of the pool is HashBf16(i), of the inputs of a site HashBf16(InputSalt(site) + i).
constexpr uint64_t InputSalt(int site) { return (1ull << 50) * (site + 1); }

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_GPU_LORA_RIG_H_
