#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>

#include "bench/gpu/lora_rig.h"
#include "kernels/lora/cluster_kernel.h"

namespace chorus::bench {

using namespace kernels;

void CheckCuda(cudaError_t error, const char* file, int line) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s:%d: %s: %s\n", file, line, cudaGetErrorName(error),
               cudaGetErrorString(error));
  std::exit(1);
}

namespace {

// Llama-3-8B.
constexpr int kHidden = 4096, kKv = 1024, kIntermediate = 14336;
constexpr int kInputs[kNumLoraModules] = {kHidden, kHidden, kHidden,      kHidden,
                                          kHidden, kHidden, kIntermediate};
constexpr int kOutputs[kNumLoraModules] = {kHidden,       kKv,           kKv,    kHidden,
                                           kIntermediate, kIntermediate, kHidden};

constexpr int kMaxRows = 2048;
constexpr int kBlocksPerMultiprocessor = 2;
constexpr int kMaxPlanes = 16;
constexpr int kTilesPerCell = 128;

LoraSiteShape Site(std::initializer_list<int> modules) {
  LoraSiteShape site;
  int column = 0;
  for (const int module : modules) {
    site.inputs = kInputs[module];
    site.modules[site.num_modules] = module;
    site.y_column[site.num_modules] = column;
    site.y_width[site.num_modules++] = kOutputs[module];
    column += kOutputs[module];
  }
  return site;
}

__global__ void FillKernel(uint16_t* data, int64_t count, uint64_t salt) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    data[i] = HashBf16(salt + static_cast<uint64_t>(i));
  }
}
__global__ void ReadKernel(const uint4* data, int64_t count, uint32_t* out) {
  uint32_t sum = 0;
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  for (; i + 7 * stride < count; i += 8 * stride) {
    uint4 v[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] = __ldcs(data + i + j * stride);
#pragma unroll
    for (int j = 0; j < 8; ++j) sum += v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (sum == 0x12345678u) *out = sum;
}

template <class T>
T* Upload(const std::vector<T>& values) {
  T* data = nullptr;
  CheckCuda(cudaMalloc(&data, std::max<size_t>(values.size(), 1) * sizeof(T)));
  CheckCuda(cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return data;
}

int SharedOf(const Kernel& kernel) {
  if (&kernel == &kLoraPlan) return kLoraPlanShared;
  if (kernel.cluster_blocks > 1) return kLoraClusterShared;
  return &kernel == &kLoraShrinkBf16 ? kLoraShrinkShared : kLoraExpandShared;
}

}  // namespace

const LoraSiteShape kSites[kNumLoraSites] = {Site({kQ, kK, kV}), Site({kO}), Site({kGate, kUp}),
                                             Site({kDown})};
int ModuleInputs(int module) { return kInputs[module]; }
int ModuleOutputs(int module) { return kOutputs[module]; }
int SiteWidth(int site) {
  const int last = kSites[site].num_modules - 1;
  return kSites[site].y_column[last] + kSites[site].y_width[last];
}

LoraRig::LoraRig(int64_t num_ids) {
  CheckCuda(cudaGetDeviceProperties(&properties_, 0));
  pool_.num_ids = num_ids;
  pool_.num_slabs = kLayers;
  pool_.tiles_per_cell = kTilesPerCell;
  unsigned char* base = nullptr;
  CheckCuda(cudaMalloc(&base, pool_.total_bytes()));
  FillKernel<<<4096, 256>>>(reinterpret_cast<uint16_t*>(base), pool_.total_bytes() / 2, 0);
  pool_.base = base;
  AllocateInputs();
  CheckCuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  for (const Kernel* kernel : {&kLoraShrinkBf16, &kLoraExpandBf16F32, &kLoraPlan}) {
    CheckCuda(cudaFuncSetAttribute(kernel->cuda_entry, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   SharedOf(*kernel)));
  }
  CheckCuda(cudaDeviceSynchronize());
}

void LoraRig::AllocateInputs() {
  for (int s = 0; s < kNumLoraSites; ++s) {
    const int64_t x = int64_t{kMaxRows} * kSites[s].inputs;
    CheckCuda(cudaMalloc(&x_[s], x * 2));
    FillKernel<<<1024, 256>>>(x_[s], x, InputSalt(s));
    CheckCuda(cudaMalloc(&delta_[s], int64_t{kMaxRows} * SiteWidth(s) * 4));
  }
  planes_.rows = kMaxRows;
  CheckCuda(cudaMalloc(&planes_.data, int64_t{kMaxPlanes} * kMaxRows * 3 * kMaxLoraRank * 4));
}

double LoraRig::ReadBandwidth() {
  uint32_t* out = nullptr;
  CheckCuda(cudaMalloc(&out, 4));
  const int64_t bytes = std::min<int64_t>(pool_.total_bytes(), int64_t{8} << 30);
  double best = 1e30;
  for (int i = 0; i < 8; ++i) {
    best = std::min(best, Time([&] {
                      ReadKernel<<<properties_.multiProcessorCount * 8, 256, 0, stream_>>>(
                          reinterpret_cast<const uint4*>(pool_.base), bytes / 16, out);
                    }));
  }
  CheckCuda(cudaFree(out));
  return static_cast<double>(bytes) / best;
}

double LoraRig::CopyBandwidth() {
  const int64_t bytes = std::min<int64_t>(pool_.total_bytes() / 2, int64_t{4} << 30);
  unsigned char* to = nullptr;
  CheckCuda(cudaMalloc(&to, bytes));
  double best = 1e30;
  for (int i = 0; i < 8; ++i) {
    best = std::min(
        best, Time([&] {
          CheckCuda(cudaMemcpyAsync(to, pool_.base, bytes, cudaMemcpyDeviceToDevice, stream_));
        }));
  }
  CheckCuda(cudaFree(to));
  return 2.0 * static_cast<double>(bytes) / best;
}

// Fills the adapter's entries; returns how many tiles it has.
int32_t LoraRig::PlaceAdapter(const LoraCase& c, int adapter) {
  const int rank = c.ranks[adapter];
  int32_t tile = 0;
  for (int l = 0; l < kLayers; ++l) {
    for (int m = 0; m < kNumLoraModules; ++m) {
      LoraModuleEntry& e =
          entries_[(static_cast<size_t>(adapter) * kLayers + l) * kNumLoraModules + m];
      if (c.attention_only && m > kO) continue;
      e.rank = rank;
      e.scale = 0.5f;
      e.a_tile = tile;
      tile += static_cast<int32_t>(MatrixTiles(kInputs[m], rank));
      e.b_tile = tile;
      tile += static_cast<int32_t>(MatrixTiles(kOutputs[m], rank));
    }
  }
  for (int s = 0; s < c.num_sites(); ++s) {
    for (int i = 0; i < kSites[s].num_modules; ++i) {
      const int m = kSites[s].modules[i];
      site_bytes_[s] += (MatrixTiles(kInputs[m], rank) + MatrixTiles(kOutputs[m], rank)) * 512;
    }
  }
  return tile;
}

// Entries of all adapters, and ids of their pages: shuffled over the whole pool.
void LoraRig::PlaceAdapters(const LoraCase& c) {
  const size_t n = c.segments.size();
  std::vector<int32_t> pages(static_cast<size_t>(pool_.num_ids));
  std::iota(pages.begin(), pages.end(), 0);
  std::shuffle(pages.begin(), pages.end(), std::mt19937(7));
  entries_.assign(n * kLayers * kNumLoraModules, {});
  site_bytes_.assign(kNumLoraSites, 0);
  num_ids_.clear();
  ids_stride_ = 0;
  std::vector<std::vector<int32_t>> ids(n);
  size_t next = 0;
  for (size_t a = 0; a < n; ++a) {
    const int cells = DivideUp(PlaceAdapter(c, static_cast<int>(a)), kTilesPerCell);
    num_ids_.push_back(DivideUp(cells, kLayers));
    for (int i = 0; i < num_ids_.back(); ++i) ids[a].push_back(pages[next++ % pages.size()]);
    std::sort(ids[a].begin(), ids[a].end());
    ids_stride_ = std::max(ids_stride_, num_ids_.back());
  }
  ids_.assign(n * ids_stride_, 0);
  for (size_t a = 0; a < n; ++a) std::copy(ids[a].begin(), ids[a].end(), &ids_[a * ids_stride_]);
}

// Items of the site that has most.
int32_t LoraRig::ListCapacity(const LoraCase& c) const {
  if (plan_.cluster_blocks > 0) return ClusterCapacity(c);
  int32_t capacity = 0;
  for (size_t a = 0; a < c.segments.size(); ++a) {
    int32_t most = 0;
    for (const LoraSiteShape& site : kSites) {
      int32_t shrinks = 0, expands = 0;
      for (int m = 0; m < site.num_modules; ++m) {
        shrinks += ShrinkItems(site.inputs, c.ranks[a], planes_.max_planes);
        expands += ExpandItems(site.y_width[m], c.ranks[a]);
      }
      most = std::max({most, shrinks, expands});
    }
    capacity += Pieces(c.segments[a]) * most;
  }
  return capacity;
}

void LoraRig::Load(const LoraCase& c) {
  FreeTables();
  PlaceAdapters(c);
  const int n = static_cast<int>(c.segments.size());
  segments_.clear();
  rows_ = 0;
  for (int a = 0; a < n; ++a) {
    segments_.push_back({a, rows_, c.segments[a]});
    rows_ += c.segments[a];
  }
  planes_.max_planes = rows_ > 256 ? 2 : kMaxPlanes;
  const int rank = *std::max_element(c.ranks.begin(), c.ranks.end());
  planes_.stride = 3 * static_cast<int>(RoundUp(rank, kTileRanks));
  plan_ = {.cluster_blocks = plan_.cluster_blocks};
  plan_.table = {Upload(entries_), Upload(ids_), Upload(num_ids_), n, kLayers, ids_stride_};
  plan_.segments = Upload(segments_);
  plan_.num_segments = Upload(std::vector<int32_t>{n});
  plan_.max_segments = n;
  plan_.max_planes = planes_.max_planes;
  plan_.spread = resident_blocks();
  std::copy(std::begin(kSites), std::end(kSites), plan_.sites);
  plan_.pool_ids = pool_.num_ids;
  plan_.tiles_per_cell = kTilesPerCell;
  plan_.lists.layers = kLayers;
  const int32_t capacity = std::max(ListCapacity(c), resident_blocks());
  for (int i = 1; i <= LoraLists::kOfLayer; ++i) plan_.lists.item_begin[i] = i * capacity;
  const auto num_lists = static_cast<size_t>(plan_.lists.num_lists());
  plan_.lists.items = Upload(std::vector<LoraItem>(static_cast<size_t>(plan_.lists.num_items())));
  plan_.lists.counts = Upload(std::vector<int32_t>(num_lists));
  plan_.rows = rows_;
  plan_.row_modules = Upload(std::vector<uint32_t>(static_cast<size_t>(kLayers) * rows_));
}

void LoraRig::FreeTables() {
  if (plan_.table.entries == nullptr) return;
  for (const void* p :
       {static_cast<const void*>(plan_.table.entries), static_cast<const void*>(plan_.table.ids),
        static_cast<const void*>(plan_.table.num_ids), static_cast<const void*>(plan_.segments),
        static_cast<const void*>(plan_.num_segments), static_cast<const void*>(plan_.lists.items),
        static_cast<const void*>(plan_.lists.counts),
        static_cast<const void*>(plan_.row_modules)}) {
    CheckCuda(cudaFree(const_cast<void*>(p)));
  }
}

void LoraRig::Plan() {
  Launch(kLoraPlan, plan_.blocks(), &plan_, false);
  first_ = true;  // whoever reads the lists waits for them
}

LoraWork LoraRig::Work(int layer, int site, bool expand) const {
  const int32_t list = plan_.lists.ListOf(layer, site, expand);
  return {plan_.table, pool_, plan_.lists.ItemsOf(list), plan_.lists.counts + list,
          plan_.lists.Capacity(list)};
}

int LoraRig::resident_blocks() const {
  return properties_.multiProcessorCount * kBlocksPerMultiprocessor;
}

void LoraRig::Run(int layer, int site) {
  if (plan_.cluster_blocks > 0) return RunClusters(layer, site);
  Shrink(layer, site);
  Expand(layer, site);
}

void LoraRig::Shrink(int layer, int site) {
  LoraShrinkParams params;
  params.x = x_[site];
  params.x_stride = kSites[site].inputs;
  params.inputs = kSites[site].inputs;
  params.work = Work(layer, site, false);
  params.planes = planes_;
  Launch(kLoraShrinkBf16, resident_blocks(), &params, true);
}

void LoraRig::Expand(int layer, int site) {
  const LoraSiteShape& shape = kSites[site];
  LoraExpandParams params;
  params.inputs = shape.inputs;
  params.max_planes = planes_.max_planes;
  std::copy(std::begin(shape.y_column), std::end(shape.y_column), params.y_column);
  std::copy(std::begin(shape.y_width), std::end(shape.y_width), params.y_width);
  params.work = Work(layer, site, true);
  params.planes = planes_;
  params.delta = delta_[site];
  params.delta_stride = SiteWidth(site);
  Launch(kLoraExpandBf16F32, resident_blocks(), &params, true);
}

void LoraRig::Launch(const Kernel& kernel, int blocks, const void* params, bool may_be_early) {
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(kernel.threads);
  config.dynamicSmemBytes = SharedOf(kernel);
  config.stream = stream_;
  config.attrs = attributes;
  if (kernel.cluster_blocks > 1) attributes[config.numAttrs++] = ClusterAttribute(kernel);
  if (may_be_early && early_ && !first_) {
    cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
  }
  first_ = false;
  void* arguments[] = {const_cast<void*>(params)};
  CheckCuda(cudaLaunchKernelExC(&config, kernel.cuda_entry, arguments));
}

double LoraRig::Time(const std::function<void()>& work) {
  cudaEvent_t begin, end;
  CheckCuda(cudaEventCreate(&begin));
  CheckCuda(cudaEventCreate(&end));
  CheckCuda(cudaEventRecord(begin, stream_));
  work();
  CheckCuda(cudaEventRecord(end, stream_));
  CheckCuda(cudaEventSynchronize(end));
  float ms = 0;
  CheckCuda(cudaEventElapsedTime(&ms, begin, end));
  CheckCuda(cudaEventDestroy(begin));
  CheckCuda(cudaEventDestroy(end));
  return ms * 1e-3;
}

double LoraRig::TimeGraph(const std::function<void()>& work) {
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CheckCuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  first_ = true;
  work();
  CheckCuda(cudaStreamEndCapture(stream_, &graph));
  CheckCuda(cudaGraphInstantiate(&exec, graph, 0));
  std::vector<double> times;
  for (int i = 0; i < 35; ++i) {
    const double t = Time([&] { CheckCuda(cudaGraphLaunch(exec, stream_)); });
    if (i >= 5) times.push_back(t);
  }
  CheckCuda(cudaGraphExecDestroy(exec));
  CheckCuda(cudaGraphDestroy(graph));
  std::nth_element(times.begin(), times.begin() + 15, times.end());
  return times[15];
}

}  // namespace chorus::bench
