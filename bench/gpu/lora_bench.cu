// The LoRA kernels on a GPU: first every output of a mixed batch against double, then time over the
// bytes of the adapters, against the read bandwidth measured in the same run. Prints a table and
// writes JSON.
//
//   lora_bench [--check] [--json FILE] [--ids N] [--early] [--profile CASE]   (CASE: launches it
//   for a profiler)
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernels/lora/expand_kernel.h"

namespace chorus::kernels {
namespace {

#define CHECK_CUDA(call)                                                 \
  do {                                                                   \
    const cudaError_t error_ = (call);                                   \
    if (error_ != cudaSuccess) {                                         \
      std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, \
                   cudaGetErrorString(error_));                          \
      std::exit(1);                                                      \
    }                                                                    \
  } while (false)

// Values that host and device make alike, without a copy of the pool on the host.
__host__ __device__ inline uint32_t Hash(uint64_t n) {
  n += 0x9e3779b97f4a7c15ull;
  n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9ull;
  n = (n ^ (n >> 27)) * 0x94d049bb133111ebull;
  return static_cast<uint32_t>(n >> 32);
}
// A bf16 in about ±0.06, from its bits: sign, one of eight exponents, mantissa.
__host__ __device__ inline uint16_t HashBf16(uint64_t n) {
  const uint32_t h = Hash(n);
  return static_cast<uint16_t>((h & 0x8000u) | ((119u + (h >> 16 & 3u)) << 7) | (h & 0x7fu));
}
float Value(uint16_t bits) { return Bf16{bits}.ToFloat(); }

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
  CHECK_CUDA(cudaMalloc(&data, std::max<size_t>(values.size(), 1) * sizeof(T)));
  CHECK_CUDA(cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return data;
}

// Llama-3-8B.
constexpr int kLayers = 32;
constexpr int kHidden = 4096, kKv = 1024, kIntermediate = 14336;
constexpr int kMaxRows = 2048;
constexpr int kBlocksPerMultiprocessor = 2;
constexpr int kMaxPlanes = 16;
const int kIn[kNumLoraModules] = {kHidden, kHidden, kHidden,      kHidden,
                                  kHidden, kHidden, kIntermediate};
const int kOut[kNumLoraModules] = {kHidden,       kKv,           kKv,    kHidden,
                                   kIntermediate, kIntermediate, kHidden};
constexpr int kTilesPerCell = 128;

LoraSiteShape Site(std::initializer_list<int> modules) {
  LoraSiteShape site;
  int column = 0;
  for (const int module : modules) {
    site.inputs = kIn[module];
    site.modules[site.num_modules] = module;
    site.y_column[site.num_modules] = column;
    site.y_width[site.num_modules++] = kOut[module];
    column += kOut[module];
  }
  return site;
}
const LoraSiteShape kSites[kNumLoraSites] = {Site({kQ, kK, kV}), Site({kO}), Site({kGate, kUp}),
                                             Site({kDown})};
int SiteWidth(const LoraSiteShape& site) {
  return site.y_column[site.num_modules - 1] + site.y_width[site.num_modules - 1];
}

struct Case {
  std::string name;
  std::vector<int> segments;  // rows of each
  std::vector<int> ranks;     // of each segment's adapter
  bool attention_only = false;
};

class Bench {
 public:
  explicit Bench(int64_t num_ids) {
    CHECK_CUDA(cudaGetDeviceProperties(&properties_, 0));
    pool_.num_ids = num_ids;
    pool_.num_slabs = kLayers;
    pool_.tiles_per_cell = kTilesPerCell;
    unsigned char* base = nullptr;
    CHECK_CUDA(cudaMalloc(&base, pool_.total_bytes()));
    FillKernel<<<4096, 256>>>(reinterpret_cast<uint16_t*>(base), pool_.total_bytes() / 2, 0);
    pool_.base = base;
    for (int s = 0; s < kNumLoraSites; ++s) {
      const int64_t x = int64_t{kMaxRows} * kSites[s].inputs;
      CHECK_CUDA(cudaMalloc(&x_[s], x * 2));
      FillKernel<<<1024, 256>>>(x_[s], x, kSalt * (s + 1));
      CHECK_CUDA(cudaMalloc(&delta_[s], int64_t{kMaxRows} * SiteWidth(kSites[s]) * 4));
    }
    planes_.rows = kMaxRows;
    CHECK_CUDA(cudaMalloc(&planes_.data, int64_t{kMaxPlanes} * kMaxRows * 3 * kMaxLoraRank * 4));
    CHECK_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    for (const Kernel* kernel : {&kLoraShrinkBf16, &kLoraExpandBf16F32, &kLoraPlan}) {
      CHECK_CUDA(cudaFuncSetAttribute(
          kernel->cuda_entry, cudaFuncAttributeMaxDynamicSharedMemorySize, SharedOf(*kernel)));
    }
    CHECK_CUDA(cudaDeviceSynchronize());
  }

  const cudaDeviceProp& properties() const { return properties_; }

  double ReadBandwidth() {
    uint32_t* out = nullptr;
    CHECK_CUDA(cudaMalloc(&out, 4));
    const int64_t bytes = std::min<int64_t>(pool_.total_bytes(), int64_t{8} << 30);
    double best = 1e30;
    for (int i = 0; i < 8; ++i) {
      best = std::min(best, Time([&] {
                        ReadKernel<<<properties_.multiProcessorCount * 8, 256, 0, stream_>>>(
                            reinterpret_cast<const uint4*>(pool_.base), bytes / 16, out);
                      }));
    }
    CHECK_CUDA(cudaFree(out));
    return static_cast<double>(bytes) / best;
  }

  double CopyBandwidth() {
    const int64_t bytes = std::min<int64_t>(pool_.total_bytes() / 2, int64_t{4} << 30);
    unsigned char* to = nullptr;
    CHECK_CUDA(cudaMalloc(&to, bytes));
    double best = 1e30;
    for (int i = 0; i < 8; ++i) {
      best = std::min(
          best, Time([&] {
            CHECK_CUDA(cudaMemcpyAsync(to, pool_.base, bytes, cudaMemcpyDeviceToDevice, stream_));
          }));
    }
    CHECK_CUDA(cudaFree(to));
    return 2.0 * static_cast<double>(bytes) / best;
  }

  // Sets up the tables of a case; adapters lie on shuffled pages.
  void Load(const Case& c) {
    Free();
    const int n = static_cast<int>(c.segments.size());
    std::vector<LoraModuleEntry> entries(static_cast<size_t>(n) * kLayers * kNumLoraModules);
    std::vector<int32_t> pages(static_cast<size_t>(pool_.num_ids));
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), std::mt19937(7));
    std::vector<int32_t> num_ids;
    std::vector<std::vector<int32_t>> ids;
    size_t next = 0;
    bytes_.assign(kNumLoraSites, 0);
    stride_ = 0;
    for (int a = 0; a < n; ++a) {
      int32_t tile = 0;
      for (int l = 0; l < kLayers; ++l) {
        for (int m = 0; m < kNumLoraModules; ++m) {
          LoraModuleEntry& e =
              entries[(static_cast<size_t>(a) * kLayers + l) * kNumLoraModules + m];
          if (c.attention_only && m > kO) continue;
          e.rank = c.ranks[a];
          e.scale = 0.5f;
          e.a_tile = tile;
          tile += static_cast<int32_t>(MatrixTiles(kIn[m], e.rank));
          e.b_tile = tile;
          tile += static_cast<int32_t>(MatrixTiles(kOut[m], e.rank));
        }
      }
      const int cells = DivideUp(tile, kTilesPerCell);
      num_ids.push_back(DivideUp(cells, kLayers));
      ids.emplace_back();
      for (int i = 0; i < num_ids.back(); ++i) ids.back().push_back(pages[next++ % pages.size()]);
      std::sort(ids.back().begin(), ids.back().end());
      stride_ = std::max(stride_, num_ids.back());
      for (int s = 0; s < kNumLoraSites; ++s) {
        if (c.attention_only && s > 1) continue;
        for (int i = 0; i < kSites[s].num_modules; ++i) {
          const int m = kSites[s].modules[i];
          bytes_[s] += (MatrixTiles(kIn[m], c.ranks[a]) + MatrixTiles(kOut[m], c.ranks[a])) * 512;
        }
      }
    }
    std::vector<int32_t> flat(static_cast<size_t>(n) * stride_, 0);
    for (int a = 0; a < n; ++a) std::copy(ids[a].begin(), ids[a].end(), &flat[a * stride_]);
    std::vector<LoraSegment> segments;
    rows_ = 0;
    for (int a = 0; a < n; ++a) {
      segments.push_back({a, rows_, c.segments[a]});
      rows_ += c.segments[a];
    }
    host_entries_ = entries;
    host_ids_ = flat;
    host_num_ids_ = num_ids;
    host_segments_ = segments;
    planes_.max_planes = rows_ > 256 ? 2 : kMaxPlanes;
    plan_ = {};
    plan_.table = {Upload(entries), Upload(flat), Upload(num_ids), n, kLayers, stride_};
    plan_.segments = Upload(segments);
    plan_.num_segments = Upload(std::vector<int32_t>{n});
    plan_.max_segments = n;
    plan_.max_planes = planes_.max_planes;
    for (int s = 0; s < kNumLoraSites; ++s) plan_.sites[s] = kSites[s];
    plan_.pool_ids = pool_.num_ids;
    plan_.tiles_per_cell = kTilesPerCell;
    plan_.lists.layers = kLayers;
    for (int a = 0; a < n; ++a) {
      int32_t most = 0;
      for (const LoraSiteShape& site : kSites) {
        int32_t shrinks = 0, expands = 0;
        for (int m = 0; m < site.num_modules; ++m) {
          shrinks += ShrinkItems(site.inputs, c.ranks[a], planes_.max_planes);
          expands += ExpandItems(site.y_width[m], c.ranks[a]);
        }
        most = std::max({most, shrinks, expands});
      }
      plan_.lists.capacity += Pieces(c.segments[a]) * most;
    }
    plan_.lists.items = Upload(
        std::vector<LoraItem>(static_cast<size_t>(plan_.lists.num_lists() * plan_.lists.capacity)));
    plan_.lists.counts = Upload(std::vector<int32_t>(static_cast<size_t>(plan_.lists.num_lists())));
    const int rank = *std::max_element(c.ranks.begin(), c.ranks.end());
    planes_.stride = 3 * static_cast<int>(RoundUp(rank, kTileRanks));
  }

  void Plan() {
    Launch(kLoraPlan, static_cast<int>(plan_.lists.num_lists()), plan_, false);
    first_ = true;  // whoever reads the lists waits for them
  }
  void set_early(bool early) { early_ = early; }
  void Shrink(int layer, int s) {
    LoraShrinkParams params;
    params.x = x_[s];
    params.x_stride = kSites[s].inputs;
    params.inputs = kSites[s].inputs;
    params.work = Work(layer, s, false);
    params.planes = planes_;
    Launch(kLoraShrinkBf16, properties_.multiProcessorCount * kBlocksPerMultiprocessor, params,
           true);
  }
  void Expand(int layer, int s) {
    LoraExpandParams params;
    params.inputs = kSites[s].inputs;
    params.max_planes = planes_.max_planes;
    std::copy(std::begin(kSites[s].y_column), std::end(kSites[s].y_column), params.y_column);
    std::copy(std::begin(kSites[s].y_width), std::end(kSites[s].y_width), params.y_width);
    params.work = Work(layer, s, true);
    params.planes = planes_;
    params.delta = delta_[s];
    params.delta_stride = SiteWidth(kSites[s]);
    Launch(kLoraExpandBf16F32, properties_.multiProcessorCount * kBlocksPerMultiprocessor, params,
           true);
  }

  // Seconds of a replay of `work` as one graph, median of 30.
  template <class Work>
  double TimeGraph(const Work& work) {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CHECK_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    first_ = true;
    work();
    CHECK_CUDA(cudaStreamEndCapture(stream_, &graph));
    CHECK_CUDA(cudaGraphInstantiate(&exec, graph, 0));
    std::vector<double> times;
    for (int i = 0; i < 35; ++i) {
      const double t = Time([&] { CHECK_CUDA(cudaGraphLaunch(exec, stream_)); });
      if (i >= 5) times.push_back(t);
    }
    CHECK_CUDA(cudaGraphExecDestroy(exec));
    CHECK_CUDA(cudaGraphDestroy(graph));
    std::nth_element(times.begin(), times.begin() + 15, times.end());
    return times[15];
  }

  // Largest error of all outputs of a layer over its bound; above 1 is a failure.
  double Check(int layer) {
    double worst = 0.0;
    Plan();
    for (int s = 0; s < kNumLoraSites; ++s) {
      const int width = SiteWidth(kSites[s]);
      CHECK_CUDA(cudaMemsetAsync(delta_[s], 0xff, int64_t{rows_} * width * 4, stream_));
      CHECK_CUDA(cudaMemsetAsync(planes_.data, 0xff, planes_.count() * 4, stream_));
      Shrink(layer, s);
      Expand(layer, s);
      std::vector<float> delta(static_cast<size_t>(rows_) * width);
      CHECK_CUDA(cudaStreamSynchronize(stream_));
      CHECK_CUDA(cudaMemcpy(delta.data(), delta_[s], delta.size() * 4, cudaMemcpyDeviceToHost));
      for (const LoraSegment& segment : host_segments_) {
        for (int row = segment.first_row; row < segment.first_row + segment.num_rows; ++row) {
          if (row % 3 == 0 || segment.num_rows < 4) {
            worst = std::max(worst, CheckRow(layer, s, segment.slot, row, &delta[row * width]));
          }
        }
      }
    }
    return worst;
  }

  int64_t bytes(int site) const { return bytes_[site]; }

 private:
  static constexpr uint64_t kSalt = 1ull << 50;

  LoraWork Work(int layer, int s, bool expand) const {
    const int64_t list = plan_.lists.ListOf(layer, s, expand);
    return {plan_.table, pool_, plan_.lists.items + list * plan_.lists.capacity,
            plan_.lists.counts + list, plan_.lists.capacity};
  }

  static int SharedOf(const Kernel& kernel) {
    if (&kernel == &kLoraPlan) return kLoraPlanShared;
    return &kernel == &kLoraShrinkBf16 ? kLoraShrinkShared : kLoraExpandShared;
  }

  // `early`: it may begin before the kernel before is done.
  template <class Params>
  void Launch(const Kernel& kernel, int blocks, const Params& params, bool early) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(blocks);
    config.blockDim = dim3(kernel.threads);
    config.dynamicSmemBytes = SharedOf(kernel);
    config.stream = stream_;
    config.attrs = &attribute;
    config.numAttrs = early && early_ && !first_ ? 1 : 0;
    first_ = false;
    void* arguments[] = {const_cast<Params*>(&params)};
    CHECK_CUDA(cudaLaunchKernelExC(&config, kernel.cuda_entry, arguments));
  }

  template <class Work>
  double Time(const Work& work) {
    cudaEvent_t begin, end;
    CHECK_CUDA(cudaEventCreate(&begin));
    CHECK_CUDA(cudaEventCreate(&end));
    CHECK_CUDA(cudaEventRecord(begin, stream_));
    work();
    CHECK_CUDA(cudaEventRecord(end, stream_));
    CHECK_CUDA(cudaEventSynchronize(end));
    float ms = 0;
    CHECK_CUDA(cudaEventElapsedTime(&ms, begin, end));
    CHECK_CUDA(cudaEventDestroy(begin));
    CHECK_CUDA(cudaEventDestroy(end));
    return ms * 1e-3;
  }

  float PoolElement(int slot, int tile, int element) const {
    const int cell = tile / kTilesPerCell;
    const int n = host_num_ids_[slot];
    const int64_t at = (cell / n) * pool_.num_ids + host_ids_[slot * stride_ + cell % n];
    return Value(HashBf16(at * (kTilesPerCell * 256) + tile % kTilesPerCell * 256 + element));
  }

  double CheckRow(int layer, int s, int slot, int row, const float* delta) {
    double worst = 0.0;
    std::mt19937 random(row * 4 + s);
    for (int i = 0; i < kSites[s].num_modules; ++i) {
      const int m = kSites[s].modules[i];
      const LoraModuleEntry& e =
          host_entries_[(static_cast<size_t>(slot) * kLayers + layer) * kNumLoraModules + m];
      if (e.rank == 0) continue;
      const int blocks = RankBlocks(e.rank);
      std::vector<double> xa(blocks * 8), absolute(blocks * 8);
      for (int k = 0; k < kIn[m]; ++k) {
        const double x = Value(HashBf16(kSalt * (s + 1) + int64_t{row} * kIn[m] + k));
        for (int r = 0; r < blocks * 8; ++r) {
          const double a =
              PoolElement(slot, e.a_tile + k / 32 * blocks + r / 8, r % 8 * 32 + k % 32);
          xa[r] += x * a;
          absolute[r] += std::fabs(x * a);
        }
      }
      for (int sample = 0; sample < 40; ++sample) {
        const int o = sample < 4 ? kOut[m] - 1 - sample : static_cast<int>(random() % kOut[m]);
        double want = 0.0, bound = 1e-30;
        for (int r = 0; r < blocks * 8; ++r) {
          const double b = PoolElement(slot, e.b_tile + o / 32 * blocks + r / 8,
                                       DeviceBTileIndex(o % 32, r % 8));
          want += xa[r] * b;
          bound += std::fabs(b) * (absolute[r] * (kIn[m] / 16 + 8) * 0x1p-23 +
                                   std::fabs(xa[r]) * (0x1p-16 + (blocks + 8) * 0x1p-23));
        }
        const double got = delta[kSites[s].y_column[i] + o];
        const double error = std::fabs(got - e.scale * want) / (e.scale * bound);
        if (!(error <= worst)) worst = std::isnan(error) ? 1e30 : error;
      }
    }
    return worst;
  }

  void Free() {
    if (plan_.table.entries == nullptr) return;
    for (const void* p :
         {static_cast<const void*>(plan_.table.entries), static_cast<const void*>(plan_.table.ids),
          static_cast<const void*>(plan_.table.num_ids), static_cast<const void*>(plan_.segments),
          static_cast<const void*>(plan_.num_segments), static_cast<const void*>(plan_.lists.items),
          static_cast<const void*>(plan_.lists.counts)}) {
      CHECK_CUDA(cudaFree(const_cast<void*>(p)));
    }
  }

  cudaDeviceProp properties_;
  cudaStream_t stream_;
  PoolCells pool_;
  uint16_t* x_[kNumLoraSites] = {};
  float* delta_[kNumLoraSites] = {};
  LoraPlanes planes_;
  LoraPlanParams plan_;
  bool early_ = false, first_ = true;
  int rows_ = 0, stride_ = 0;
  std::vector<int64_t> bytes_;
  std::vector<LoraModuleEntry> host_entries_;
  std::vector<int32_t> host_ids_, host_num_ids_;
  std::vector<LoraSegment> host_segments_;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const auto even = [&](const std::string& name, int rows, int adapters, int rank, bool attention) {
    Case c{name, {}, {}, attention};
    for (int a = 0; a < adapters; ++a) {
      c.segments.push_back(rows * (a + 1) / adapters - rows * a / adapters);
      c.ranks.push_back(rank);
    }
    cases.push_back(c);
  };
  even("1 row, 1 x r16", 1, 1, 16, false);
  for (const int n : {1, 8, 16, 64})
    even("64 rows, " + std::to_string(n) + " x r16", 64, n, 16, false);
  even("64 rows, 64 x r16 qkvo", 64, 64, 16, true);
  even("64 rows, 64 x r8", 64, 64, 8, false);
  even("64 rows, 16 x r64", 64, 16, 64, false);
  even("256 rows, 64 x r16", 256, 64, 16, false);
  even("2048 rows, 8 x r16", 2048, 8, 16, false);
  Case mixed{"64 rows, ranks 8 16 64 256", {}, {}, false};
  for (int a = 0; a < 16; ++a) {
    mixed.segments.push_back(4);
    mixed.ranks.push_back(a % 4 == 0 ? 8 : a % 4 == 1 ? 16 : a % 4 == 2 ? 64 : 256);
  }
  cases.push_back(mixed);
  return cases;
}

std::vector<Case> CheckCases() {
  std::vector<Case> cases = {{"one row", {1}, {16}, false},
                             {"odd ranks", {1, 3, 16, 17, 5}, {1, 7, 9, 24, 33}, false},
                             {"large ranks", {2, 40, 1}, {100, 256, 255}, false},
                             {"attention only", {4, 4, 4, 4}, {8, 16, 40, 72}, true}};
  return cases;
}

int Main(int argc, char** argv) {
  bool check_only = false;
  const char* json_path = nullptr;
  const char* profile = nullptr;
  bool early = false;
  int64_t ids = 8192;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--check") == 0) check_only = true;
    if (std::strcmp(argv[i], "--json") == 0 && i + 1 < argc) json_path = argv[++i];
    if (std::strcmp(argv[i], "--early") == 0) early = true;
    if (std::strcmp(argv[i], "--profile") == 0 && i + 1 < argc) profile = argv[++i];
    if (std::strcmp(argv[i], "--ids") == 0 && i + 1 < argc) ids = std::atoll(argv[++i]);
  }
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no GPU answers: cudaGetDeviceCount says %s\n",
                cudaGetErrorString(cudaGetLastError()));
    return 1;
  }
  Bench bench(ids);
  bench.set_early(early);
  if (profile != nullptr) {
    for (const Case& c : Cases()) {
      if (c.name != profile) continue;
      bench.Load(c);
      bench.Plan();
      for (int s = 0; s < kNumLoraSites; ++s) {
        bench.Shrink(s, s);
        bench.Expand(s, s);
      }
      CHECK_CUDA(cudaDeviceSynchronize());
    }
    return 0;
  }
  bool right = true;
  for (const Case& c : CheckCases()) {
    bench.Load(c);
    const double worst = std::max(bench.Check(0), bench.Check(kLayers - 1));
    std::printf("check %-16s worst error / bound %.3f %s\n", c.name.c_str(), worst,
                worst <= 1.0 ? "ok" : "WRONG");
    right = right && worst <= 1.0;
  }
  std::fflush(stdout);
  if (!right || check_only) return right ? 0 : 1;

  const double read = bench.ReadBandwidth();
  const double copy = bench.CopyBandwidth();
  std::printf("%s, %d multiprocessors; read %.0f GB/s, copy %.0f GB/s\n\n", bench.properties().name,
              bench.properties().multiProcessorCount, read * 1e-9, copy * 1e-9);
  std::printf("%-28s %9s %9s %7s   %s\n", "case (32 layers)", "us", "GB/s", "share",
              "share of qkv, o, gate_up, down; shrink and expand of all; plan us");
  std::FILE* json = json_path != nullptr ? std::fopen(json_path, "w") : nullptr;
  if (json != nullptr) {
    std::fprintf(json,
                 "{\"device\": \"%s\", \"read_gb_s\": %.1f, \"copy_gb_s\": %.1f, \"cases\": [",
                 bench.properties().name, read * 1e-9, copy * 1e-9);
  }
  bool first = true;
  for (const Case& c : Cases()) {
    bench.Load(c);
    const int sites = c.attention_only ? 2 : kNumLoraSites;
    int64_t bytes = 0;
    for (int s = 0; s < sites; ++s) bytes += bench.bytes(s) * kLayers;
    const double all = bench.TimeGraph([&] {
      bench.Plan();
      for (int l = 0; l < kLayers; ++l) {
        for (int s = 0; s < sites; ++s) {
          bench.Shrink(l, s);
          bench.Expand(l, s);
        }
      }
    });
    std::printf("%-28s %9.1f %9.0f %6.1f%%  ", c.name.c_str(), all * 1e6, bytes / all * 1e-9,
                bytes / all / read * 100);
    if (json != nullptr) {
      std::fprintf(json, "%s\n  {\"case\": \"%s\", \"us\": %.2f, \"bytes\": %lld, \"share\": %.4f",
                   first ? "" : ",", c.name.c_str(), all * 1e6, static_cast<long long>(bytes),
                   bytes / all / read);
    }
    first = false;
    for (int s = 0; s < sites; ++s) {
      const double t = bench.TimeGraph([&] {
        for (int l = 0; l < kLayers; ++l) {
          bench.Shrink(l, s);
          bench.Expand(l, s);
        }
      });
      std::printf(" %5.1f%%", bench.bytes(s) * kLayers / t / read * 100);
      if (json != nullptr) std::fprintf(json, ", \"site%d_us\": %.2f", s, t * 1e6);
    }
    const double shrink = bench.TimeGraph([&] {
      for (int l = 0; l < kLayers; ++l) {
        for (int s = 0; s < sites; ++s) bench.Shrink(l, s);
      }
    });
    const double expand = bench.TimeGraph([&] {
      for (int l = 0; l < kLayers; ++l) {
        for (int s = 0; s < sites; ++s) bench.Expand(l, s);
      }
    });
    const double plan = bench.TimeGraph([&] { bench.Plan(); });
    std::printf("  shrink %.1f expand %.1f plan %.1f\n", shrink * 1e6, expand * 1e6, plan * 1e6);
    if (json != nullptr) {
      std::fprintf(json, ", \"shrink_us\": %.2f, \"expand_us\": %.2f, \"plan_us\": %.2f}",
                   shrink * 1e6, expand * 1e6, plan * 1e6);
    }
    std::fflush(stdout);
  }
  if (json != nullptr) {
    std::fprintf(json, "\n]}\n");
    std::fclose(json);
  }
  return 0;
}

}  // namespace
}  // namespace chorus::kernels

int main(int argc, char** argv) { return chorus::kernels::Main(argc, argv); }
