#include "bench/simulate/machines.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "bench/gpu/step_cases.h"
#include "kernels/check.h"

namespace chorus::bench {
namespace {

engine::ModelConfig Shape(absl::string_view name) {
  absl::StatusOr<StepModel> model = FindStepModel(name);
  CHORUS_CHECK(model.ok());
  return std::move(model->config);
}

engine::ModelConfig SmolLm2() {
  engine::ModelConfig config;
  config.layers = 30;
  config.hidden = 576;
  config.intermediate = 1536;
  config.heads = 9;
  config.kv_heads = 3;
  config.head_dim = 64;
  config.vocabulary = 49152;
  config.max_positions = 8192;
  config.tied_embeddings = true;
  return config;
}

std::vector<Machine> Machines() {
  return {
      // Two cores of an EPYC with AVX-512 BF16. Fitted to `bench/run serving` of 2026-11-26, in ms:
      // a step of one row 6.62, of 16 rows 9.34, of 16 with 16 adapters 13.95, a prompt of 512
      // 152.6 (the probes there read 47.6 GB/s and computed 1.08 TFLOP/s). A pool of 1 GiB.
      {.name = "cpu-smollm2",
       .model = SmolLm2(),
       .step = {.bytes_per_s = 43e9,
                .flops_per_s = 1.08e12,
                .step_s = 0.26e-3,
                .row_s = 0.085e-3,
                .adapter_row_s = 0.06e-3},
       .load = {.open_s = 0.2e-3, .read_bytes_per_s = 2e9},
       .pool_pages = 1456},
      // A plan, not a measurement: the H100 that LoRA kernels were timed on read 3.08 TB/s; the
      // products' rate and the half millisecond of launches are what bench/gpu aims at. A store on
      // a local disk, images on the host for 16 GiB, PCIe 5. 50 GB of pool.
      {.name = "h100-llama-3-8b",
       .model = Shape("llama-3-8b"),
       .step = {.bytes_per_s = 2.7e12, .flops_per_s = 600e12, .step_s = 0.5e-3},
       .load = {.open_s = 1e-3,
                .read_bytes_per_s = 3e9,
                .host_bytes = int64_t{16} << 30,
                .copy_bytes_per_s = 50e9},
       .pool_pages = 23840},
      // S-LoRA's smallest setting: Llama-7B on 24 GB, a pool of 14,500 tokens, all images on the
      // host. Reading and products are shares of the maker's 600 GB/s and 125 TFLOP/s; what a step
      // costs beside them is set so that a base-only run at 2 requests/s gives S-LoRA's own 1.86.
      {.name = "a10g-llama-7b",
       .model = Shape("llama-2-7b"),
       .step = {.bytes_per_s = 480e9, .flops_per_s = 60e12, .step_s = 11e-3},
       .load = {.read_bytes_per_s = 1e12, .host_bytes = int64_t{1} << 40, .copy_bytes_per_s = 12e9},
       .pool_pages = 906},
      // S-LoRA's of the experiment with clusters, with the same pool: the same shares of 1,555 GB/s
      // and 312 TFLOP/s; what a step costs beside them is set so that the run without clusters at
      // alpha 1 gives S-LoRA's own 4.2 s to a first token.
      {.name = "a100-llama-7b",
       .model = Shape("llama-2-7b"),
       .step = {.bytes_per_s = 1244e9, .flops_per_s = 150e12, .step_s = 35e-3},
       .load = {.read_bytes_per_s = 1e12, .host_bytes = int64_t{1} << 40, .copy_bytes_per_s = 20e9},
       .pool_pages = 906},
  };
}

}  // namespace

kernels::PoolView Machine::pool_view() const {
  return {.base = nullptr,
          .num_ids = pool_pages,
          .num_slabs = model.layers,
          .kv_heads = model.kv_heads,
          .head_dim = model.head_dim,
          .dtype = kernels::DType::kBf16};
}

absl::StatusOr<Machine> FindMachine(absl::string_view name) {
  std::vector<std::string> names;
  for (Machine& machine : Machines()) {
    if (machine.name == name) return std::move(machine);
    names.push_back(machine.name);
  }
  return absl::NotFoundError(
      absl::StrCat("machine ", name, ": expected one of ", absl::StrJoin(names, ", ")));
}

}  // namespace chorus::bench
