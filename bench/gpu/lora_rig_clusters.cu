// The rig's LoRA in clusters: shrink and expand of a site in one launch.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "bench/gpu/lora_rig.h"
#include "kernels/lora/cluster_kernel.h"

namespace chorus::bench {

using namespace kernels;

void LoraRig::SetCluster(int blocks) {
  plan_.cluster_blocks = blocks;
  if (blocks == 0) return;
  cluster_ = blocks == 4 ? &kLoraCluster4Bf16 : &kLoraCluster8Bf16;
  CheckCuda(cudaFuncSetAttribute(cluster_->cuda_entry, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 kLoraClusterShared));
  cudaLaunchAttribute attribute = ClusterAttribute(*cluster_);
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(cluster_->threads);
  config.dynamicSmemBytes = kLoraClusterShared;
  config.attrs = &attribute;
  config.numAttrs = 1;
  CheckCuda(cudaOccupancyMaxActiveClusters(&resident_clusters_, cluster_->cuda_entry, &config));
  std::printf("clusters of %d blocks: %d at once\n", blocks, resident_clusters_);
  if (resident_clusters_ == 0) std::exit(1);
}

cudaLaunchAttribute LoraRig::ClusterAttribute(const Kernel& kernel) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {static_cast<unsigned>(kernel.cluster_blocks), 1, 1};
  return attribute;
}

// Whole units; every site has the largest one's.
int32_t LoraRig::ClusterCapacity(const LoraCase& c) const {
  int32_t units = 0;
  for (size_t a = 0; a < c.segments.size(); ++a) {
    UnitCut cut;
    for (int m = 0; m < kMaxSiteModules; ++m) cut.Add(c.ranks[a]);
    units += Pieces(c.segments[a]) * cut.units;
  }
  return units * UnitSteps(plan_.cluster_blocks, kMaxSiteModules);
}

void LoraRig::RunClusters(int layer, int site) {
  const LoraSiteShape& shape = kSites[site];
  LoraClusterParams params;
  params.x = x_[site];
  params.x_stride = params.inputs = shape.inputs;
  params.num_rows = rows_;
  params.num_modules = shape.num_modules;
  std::copy(std::begin(shape.y_column), std::end(shape.y_column), params.y_column);
  std::copy(std::begin(shape.y_width), std::end(shape.y_width), params.y_width);
  params.work = Work(layer, site, false);
  params.delta = delta_[site];
  params.delta_stride = SiteWidth(site);
  Launch(*cluster_, resident_clusters_ * cluster_->cluster_blocks, &params, true);
}

}  // namespace chorus::bench
