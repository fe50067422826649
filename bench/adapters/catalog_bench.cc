// catalog_bench DIR [ADAPTERS]: a store with many small adapters below DIR: how long a start takes
// and what it costs in memory, then what lists and look-ups cost. Uploads what is missing first,
// which takes an fsync or more for each adapter.
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/adapters/stored_catalog.h"

namespace chorus::bench {
namespace {

constexpr int kLayers = 30;
constexpr int kHidden = 576;
constexpr int kRank = 8;

engine::ModelConfig Model() {  // SmolLM2-135M's shape
  engine::ModelConfig model;
  model.layers = kLayers;
  model.hidden = kHidden;
  model.intermediate = 1536;
  model.heads = 9;
  model.kv_heads = 3;
  model.head_dim = 64;
  model.vocabulary = 49152;
  model.max_positions = 8192;
  model.rms_norm_eps = 1e-5f;
  return model;
}

// LoRA on q_proj of all layers, as safetensors; `seed` makes it another one.
std::string Tensors(int seed) {
  const int64_t bytes = int64_t{kRank} * kHidden * 2;
  std::string header = "{";
  for (int i = 0; i < 2 * kLayers; ++i) {
    const bool is_a = i % 2 == 0;
    absl::StrAppend(&header, i == 0 ? "" : ",", "\"base_model.model.model.layers.", i / 2,
                    ".self_attn.q_proj.lora_", is_a ? "A" : "B",
                    R"(.weight":{"dtype":"BF16","shape":[)", is_a ? kRank : kHidden, ",",
                    is_a ? kHidden : kRank, R"(],"data_offsets":[)", i * bytes, ",",
                    (i + 1) * bytes, "]}");
  }
  absl::StrAppend(&header, "}");
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  file += header;
  std::string data(static_cast<size_t>(2 * kLayers * bytes), '\0');
  std::memcpy(data.data(), &seed, sizeof(seed));
  return file + data;
}

absl::Status Put(engine::Catalog& catalog, int index) {
  const std::string config = absl::StrCat(
      R"({"peft_type":"LORA","task_type":"CAUSAL_LM","r":)", kRank,
      R"(,"lora_alpha":16,"target_modules":["q_proj"],"base_model_name_or_path":"bench"})");
  const std::string tensors = Tensors(index);
  auto upload = catalog.BeginUpload({.tenant = "default",
                                     .name = absl::StrCat("adapter-", index),
                                     .config_bytes = config.size(),
                                     .tensor_bytes = tensors.size()});
  if (!upload.ok()) return upload.status();
  if (absl::Status status = (*upload)->AppendConfig(config); !status.ok()) return status;
  if (absl::Status status = (*upload)->AppendTensors(tensors); !status.ok()) return status;
  return (*upload)->Commit().status();
}

std::unique_ptr<engine::StoredCatalog> Open(const std::string& directory) {
  engine::CatalogOptions options;
  options.directory = directory;
  options.model = Model();
  options.geometry = {.num_ids = 1000, .num_slabs = kLayers, .kv_heads = 3, .head_dim = 64};
  options.allow_volatile = true;
  options.background = false;
  auto catalog = engine::StoredCatalog::Open(std::move(options), engine::Clock::Real());
  if (catalog.ok()) return *std::move(catalog);
  std::fprintf(stderr, "%s\n", catalog.status().ToString().c_str());
  std::exit(1);
}

double Seconds(const std::function<void()>& what) {
  const absl::Time begin = absl::Now();
  what();
  return absl::ToDoubleSeconds(absl::Now() - begin);
}

void Fill(const std::string& directory, int count) {
  const auto catalog = Open(directory);
  const auto there = static_cast<int>(catalog->recovery().versions);
  if (there >= count) return;
  const double made = Seconds([&] {
    for (int i = there; i < count; ++i) {
      if (const absl::Status put = Put(*catalog, i); !put.ok()) {
        std::fprintf(stderr, "%s\n", put.ToString().c_str());
        std::exit(1);
      }
    }
  });
  std::printf("uploaded %d adapters: %.1f s, %.2f ms each\n", count - there, made,
              made * 1e3 / (count - there));
}

int Run(const std::string& directory, int count) {
  Fill(directory, count);
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  std::unique_ptr<engine::StoredCatalog> catalog;
  const double start = Seconds([&] { catalog = Open(directory); });
  const size_t bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before;
  const auto adapters = static_cast<double>(catalog->recovery().versions);
  std::printf("start with %.0f adapters: %.2f s, %.0f us and %.0f bytes each\n", adapters, start,
              start * 1e6 / adapters, static_cast<double>(bytes) / adapters);
  const auto time = [](const char* what, int times, const std::function<void(int)>& call) {
    const double seconds = Seconds([&] {
      for (int i = 0; i < times; ++i) call(i);
    });
    std::printf("%-24s %10.2f us\n", what, seconds * 1e6 / times);
  };
  const auto name = [&](int i) {
    return absl::StrCat("adapter-", i * 7919 % static_cast<int>(adapters));
  };
  time("resolve by name", 10000, [&](int i) { (void)catalog->Resolve("default", name(i)); });
  time("list a page of 100", 1000, [&](int i) { catalog->ListAfter("default", name(i), 100); });
  time("list all", 10, [&](int) { catalog->List("default"); });
  return 0;
}

}  // namespace
}  // namespace chorus::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: catalog_bench DIR [ADAPTERS]\n");
    return 2;
  }
  const int count = argc > 2 ? std::atoi(argv[2]) : 10000;
  if (count < 1) {
    std::fprintf(stderr, "catalog_bench: expected at least 1 adapter, got %s\n", argv[2]);
    return 2;
  }
  return chorus::bench::Run(argv[1], count);
}
