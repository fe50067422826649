// The LoRA kernels on a GPU: first every output of a mixed batch against double, then time over the
// bytes of the adapters, against the read bandwidth measured in the same run.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/gpu/lora_rig.h"

namespace chorus::bench {
namespace {

using kernels::kNumLoraSites;

constexpr char kUsage[] =
    "usage: chorus_lora_bench [--check | --ceilings | --profile CASE] [--json FILE] [--ids N]\n"
    "                         [--early] [--cluster N]\n"
    "Checks the LoRA kernels, then prints a table of their times.\n"
    "  --check         only checks; without --cluster every way in which this GPU can run them\n"
    "  --ceilings      only measures how fast memory is read and copied\n"
    "  --json FILE     writes the table there too, anew after each case\n"
    "  --ids N         pages of 2 MiB in the pool (8192)\n"
    "  --early         a kernel may begin before the one before it is done\n"
    "  --cluster N     a site in one launch, in clusters of 4 or 8 thread blocks (9.0 and newer)\n"
    "  --profile CASE  launches one layer of each site, for a profiler\n";

constexpr const char* kSiteNames[kNumLoraSites] = {"qkv", "o", "gate_up", "down"};

struct Options {
  bool check_only = false;
  bool ceilings_only = false;
  bool early = false;
  int cluster = 0;
  const char* json = nullptr;
  const char* profile = nullptr;
  int64_t ids = 8192;
};

// Ends the process where an argument is not known.
Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const bool has_value = i + 1 < argc;
    if (std::strcmp(argv[i], "--check") == 0) {
      options.check_only = true;
    } else if (std::strcmp(argv[i], "--ceilings") == 0) {
      options.ceilings_only = true;
    } else if (std::strcmp(argv[i], "--early") == 0) {
      options.early = true;
    } else if (std::strcmp(argv[i], "--json") == 0 && has_value) {
      options.json = argv[++i];
    } else if (std::strcmp(argv[i], "--profile") == 0 && has_value) {
      options.profile = argv[++i];
    } else if (std::strcmp(argv[i], "--ids") == 0 && has_value) {
      options.ids = std::atoll(argv[++i]);
    } else if (std::strcmp(argv[i], "--cluster") == 0 && has_value &&
               (std::strcmp(argv[i + 1], "4") == 0 || std::strcmp(argv[i + 1], "8") == 0)) {
      options.cluster = std::atoi(argv[++i]);
    } else {
      std::fprintf(stderr, "%s", kUsage);
      std::exit(2);
    }
  }
  return options;
}

std::vector<LoraCase> Cases() {
  std::vector<LoraCase> cases;
  const auto even = [&](const std::string& name, int rows, int adapters, int rank, bool attention) {
    LoraCase c{name, {}, {}, attention};
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
  for (const int rank : {8, 64, 128})
    even("64 rows, 16 x r" + std::to_string(rank), 64, 16, rank, false);
  even("64 rows, 8 x r256", 64, 8, 256, false);
  even("256 rows, 64 x r16", 256, 64, 16, false);
  even("2048 rows, 8 x r16", 2048, 8, 16, false);
  LoraCase mixed{"64 rows, ranks 8 16 64 256", {}, {}, false};
  for (int a = 0; a < 16; ++a) {
    mixed.segments.push_back(4);
    mixed.ranks.push_back(a % 4 == 0 ? 8 : a % 4 == 1 ? 16 : a % 4 == 2 ? 64 : 256);
  }
  cases.push_back(mixed);
  return cases;
}

std::vector<LoraCase> CheckCases() {
  return {{"one row", {1}, {16}, false},
          {"odd ranks", {1, 3, 16, 17, 5}, {1, 7, 9, 24, 33}, false},
          {"large ranks", {2, 40, 1}, {100, 256, 255}, false},
          {"attention only", {4, 4, 4, 4}, {8, 16, 40, 72}, true}};
}

// In clusters of `cluster` blocks, or 0.
bool CheckAll(LoraRig& rig, int cluster) {
  bool right = true;
  rig.SetCluster(cluster);
  for (const LoraCase& c : CheckCases()) {
    rig.Load(c);
    const double worst = std::max(rig.Check(0), rig.Check(kLayers - 1));
    std::printf("check %d %-16s worst error / bound %.3f %s\n", cluster, c.name.c_str(), worst,
                worst <= 1.0 ? "ok" : "WRONG");
    right = right && worst <= 1.0;
  }
  std::fflush(stdout);
  return right;
}

void Profile(LoraRig& rig, const char* name) {
  for (const LoraCase& c : Cases()) {
    if (c.name != name) continue;
    rig.Load(c);
    rig.Plan();
    for (int s = 0; s < kNumLoraSites; ++s) rig.Run(s, s);
    CheckCuda(cudaDeviceSynchronize());
  }
}

// All layers of a case, in seconds.
struct Times {
  double all = 0.0;  // as a step has them, its plan first
  double sites[kNumLoraSites] = {};
  double shrink = 0.0, expand = 0.0;  // 0 in clusters
  double plan = 0.0;
};

Times Measure(LoraRig& rig, int sites) {
  Times times;
  times.all = rig.TimeGraph([&] {
    rig.Plan();
    for (int l = 0; l < kLayers; ++l) {
      for (int s = 0; s < sites; ++s) rig.Run(l, s);
    }
  });
  for (int s = 0; s < sites; ++s) {
    times.sites[s] = rig.TimeGraph([&] {
      for (int l = 0; l < kLayers; ++l) rig.Run(l, s);
    });
  }
  times.plan = rig.TimeGraph([&] { rig.Plan(); });
  if (rig.cluster() > 0) return times;
  times.shrink = rig.TimeGraph([&] {
    for (int l = 0; l < kLayers; ++l) {
      for (int s = 0; s < sites; ++s) rig.Shrink(l, s);
    }
  });
  times.expand = rig.TimeGraph([&] {
    for (int l = 0; l < kLayers; ++l) {
      for (int s = 0; s < sites; ++s) rig.Expand(l, s);
    }
  });
  return times;
}

// Bytes per second, measured in this run.
struct Ceilings {
  double read = 0.0, copy = 0.0;
};

Ceilings MeasureCeilings(LoraRig& rig) {
  const Ceilings ceilings = {rig.ReadBandwidth(), rig.CopyBandwidth()};
  std::printf("%s, %d multiprocessors; read %.0f GB/s, copy %.0f GB/s\n", rig.properties().name,
              rig.properties().multiProcessorCount, ceilings.read * 1e-9, ceilings.copy * 1e-9);
  return ceilings;
}

std::string Format(const char* format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  return text;
}

// `cases`: JSON objects. A process that is cut off leaves what it has measured.
void WriteJson(const char* path, const LoraRig& rig, const Ceilings& ceilings,
               const std::vector<std::string>& cases) {
  if (path == nullptr) return;
  std::FILE* json = std::fopen(path, "w");
  if (json == nullptr) {
    std::perror(path);
    std::exit(1);
  }
  std::fprintf(json, "{\"device\": \"%s\", \"read_gb_s\": %.1f, \"copy_gb_s\": %.1f, \"cases\": [",
               rig.properties().name, ceilings.read * 1e-9, ceilings.copy * 1e-9);
  for (size_t i = 0; i < cases.size(); ++i) {
    std::fprintf(json, "%s\n  %s", i == 0 ? "" : ",", cases[i].c_str());
  }
  std::fprintf(json, "\n]}\n");
  std::fclose(json);
}

// Prints a line of the table; returns an object of the JSON.
std::string Report(const LoraRig& rig, const LoraCase& c, const Times& times, double read) {
  int64_t bytes = 0;
  for (int s = 0; s < c.num_sites(); ++s) bytes += rig.site_bytes(s) * kLayers;
  std::printf("%-28s %9.1f %9.0f %6.1f%%  ", c.name.c_str(), times.all * 1e6,
              bytes / times.all * 1e-9, bytes / times.all / read * 100);
  std::string json =
      Format("{\"case\": \"%s\", \"cluster\": %d, \"us\": %.2f, \"bytes\": %lld, \"share\": %.4f",
             c.name.c_str(), rig.cluster(), times.all * 1e6, static_cast<long long>(bytes),
             bytes / times.all / read);
  json += ", \"sites\": [";
  for (int s = 0; s < c.num_sites(); ++s) {
    const int64_t site_bytes = rig.site_bytes(s) * kLayers;
    const double share = site_bytes / times.sites[s] / read;
    std::printf(" %5.1f%%", share * 100);
    json += Format("%s{\"site\": \"%s\", \"us\": %.2f, \"bytes\": %lld, \"share\": %.4f}",
                   s == 0 ? "" : ", ", kSiteNames[s], times.sites[s] * 1e6,
                   static_cast<long long>(site_bytes), share);
  }
  json += "]";
  std::printf("  shrink %.1f expand %.1f plan %.1f\n", times.shrink * 1e6, times.expand * 1e6,
              times.plan * 1e6);
  std::fflush(stdout);
  return json + Format(", \"shrink_us\": %.2f, \"expand_us\": %.2f, \"plan_us\": %.2f}",
                       times.shrink * 1e6, times.expand * 1e6, times.plan * 1e6);
}

void MeasureAll(LoraRig& rig, const char* json) {
  const Ceilings ceilings = MeasureCeilings(rig);
  std::printf("\n%-28s %9s %9s %7s   %s\n", "case (32 layers)", "us", "GB/s", "share",
              "share of qkv, o, gate_up, down; shrink and expand of all; plan us");
  std::vector<std::string> cases;
  for (const LoraCase& c : Cases()) {
    rig.Load(c);
    cases.push_back(Report(rig, c, Measure(rig, c.num_sites()), ceilings.read));
    WriteJson(json, rig, ceilings, cases);
  }
}

int Main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no GPU answers: cudaGetDeviceCount says %s\n",
                cudaGetErrorString(cudaGetLastError()));
    return 1;
  }
  LoraRig rig(options.ids);
  rig.set_early(options.early);
  const bool has_clusters = rig.properties().major >= 9;
  if (options.cluster > 0 && !has_clusters) {
    std::printf("clusters take compute capability 9.0, %s has %d.%d\n", rig.properties().name,
                rig.properties().major, rig.properties().minor);
    return 1;
  }
  rig.SetCluster(options.cluster);
  if (options.profile != nullptr) {
    Profile(rig, options.profile);
    return 0;
  }
  if (options.ceilings_only) {
    WriteJson(options.json, rig, MeasureCeilings(rig), {});
    return 0;
  }
  bool right = CheckAll(rig, options.cluster);
  if (options.check_only && options.cluster == 0 && has_clusters) {
    for (const int cluster : {4, 8}) right = CheckAll(rig, cluster) && right;
  }
  if (right && !options.check_only) MeasureAll(rig, options.json);
  return right ? 0 : 1;
}

}  // namespace
}  // namespace chorus::bench

int main(int argc, char** argv) { return chorus::bench::Main(argc, argv); }
