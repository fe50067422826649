#include "bench/gpu/step_bench.h"

#include <cstdio>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "kernels/status_macros.h"

namespace chorus::bench {
namespace {

// An argument's value, as what it sets wants it.
absl::Status ReadPositive(absl::string_view name, absl::string_view text, double* value) {
  if (absl::SimpleAtod(text, value) && *value > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ": expected a number above 0, got ", text));
}
absl::Status ReadCount(absl::string_view name, absl::string_view text, int* value) {
  if (absl::SimpleAtoi(text, value) && *value > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ": expected a count above 0, got ", text));
}

absl::Status SetOption(absl::string_view name, absl::string_view value, int* layers,
                       StepBenchOptions* options) {
  if (name == "--shape") {
    CHORUS_ASSIGN_OR_RETURN(options->model, FindStepModel(value));
    return absl::OkStatus();
  }
  if (name == "--layers") return ReadCount(name, value, layers);
  if (name == "--blocks") return ReadCount(name, value, &options->measure.blocks);
  if (name == "--replays") return ReadCount(name, value, &options->measure.replays);
  if (name == "--lora-multiprocessors") {
    return ReadCount(name, value, &options->rig.lora.multiprocessors);
  }
  if (name == "--attention-chunk") {
    return ReadCount(name, value, &options->rig.decode_chunk_tokens);
  }
  if (name == "--lora-planes") return ReadCount(name, value, &options->rig.lora.max_planes);
  if (name == "--lora-blocks") return ReadCount(name, value, &options->rig.lora.max_blocks);
  if (name == "--lora-wide-rows") {
    return ReadCount(name, value, &options->rig.lora.wide_delta_rows);
  }
  if (name == "--lora-cluster") return ReadCount(name, value, &options->rig.lora.cluster_blocks);
  if (name == "--only") {
    options->only = std::string(value);
    return absl::OkStatus();
  }
  if (name == "--json") {
    options->json = std::string(value);
    return absl::OkStatus();
  }
  double rate = 0.0;
  CHORUS_RETURN_IF_ERROR(ReadPositive(name, value, &rate));
  if (name == "--read-gb-s") {
    options->rates.bytes_per_us = rate * 1e3;
  } else {
    options->rates.flops_per_us = rate * 1e6;
  }
  return absl::OkStatus();
}

bool TakesValue(absl::string_view name) {
  for (const absl::string_view known :
       {"--shape", "--layers", "--blocks", "--replays", "--only", "--json", "--read-gb-s",
        "--tflops", "--lora-multiprocessors", "--lora-cluster", "--lora-blocks", "--lora-wide-rows",
        "--lora-planes", "--attention-chunk"}) {
    if (name == known) return true;
  }
  return false;
}

Json MemoryJson(const engine::DeviceMemoryUse& use, const kernels::PoolView& pool) {
  return {{"weights_bytes", use.weights},   {"activations_bytes", use.activations},
          {"lora_bytes", use.lora},         {"attention_bytes", use.attention},
          {"steps_bytes", use.steps},       {"graphs_bytes", use.graphs},
          {"pool_bytes", use.pool},         {"pool_pages", pool.num_ids},
          {"cell_bytes", pool.cell_bytes()}};
}

bool Chosen(const StepBenchOptions& options, const StepCase& c) {
  return absl::StrContains(c.name, options.only);
}

Json Heading(const StepBenchOptions& options) {
  return {{"label", options.label},
          {"model", options.model.name},
          {"layers", options.model.config.layers},
          {"dtype", "bf16"},
          {"context", options.model.sizes.context},
          {"seed", options.rig.seed},
          {"graphs", options.rig.graphs},
          {"lora_beside_base", options.rig.lora.beside_base},
          {"attention_chunk", options.rig.decode_chunk_tokens},
          {"attention_early", options.rig.attention_early},
          {"lora_planes", options.rig.lora.max_planes},
          {"lora_early", options.rig.lora.begin_early},
          {"lora_multiprocessors", options.rig.lora.multiprocessors},
          {"lora_blocks", options.rig.lora.max_blocks},
          {"lora_wide_rows", options.rig.lora.wide_delta_rows},
          {"lora_cluster", options.rig.lora.cluster_blocks}};
}

// Nothing is timed.
Json ModelOnly(const StepBenchOptions& options,
               const std::function<void(const std::string&)>& say) {
  Json result = Heading(options);
  result["label"] = "modelled";
  result["rates"] = {{"read_gb_s", options.rates.bytes_per_us * 1e-3},
                     {"tflop_s", options.rates.flops_per_us * 1e-6}};
  result["cases"] = Json::array();
  say(CaseHeading());
  for (const StepCase& c : StepCases(options.model)) {
    if (!Chosen(options, c)) continue;
    result["cases"].push_back(CaseJson(options.model, c, options.rates));
    say(CaseLine(result["cases"].back()));
  }
  return result;
}

absl::Status MeasureOne(const StepCase& c, const StepBenchOptions& options, const StepRates& rates,
                        StepRig* rig, Json* cases) {
  Json measured = CaseJson(options.model, c, rates);
  const absl::StatusOr<CaseTimes> times = MeasureCase(rig, c, options.measure);
  if (absl::IsResourceExhausted(times.status())) {
    measured["skipped"] = std::string(times.status().message());
  } else {
    CHORUS_RETURN_IF_ERROR(times.status());
    AddTimes(*times, &measured);
  }
  cases->push_back(std::move(measured));
  return absl::OkStatus();
}

absl::Status MeasureLora(const StepBenchOptions& options, const StepRates& rates, StepRig* rig,
                         Json* cases, const std::function<void(const std::string&)>& say) {
  CHORUS_ASSIGN_OR_RETURN(LoraProbe probe, LoraProbe::Create(rig));
  for (const StepCase& c : LoraCases(options.model)) {
    if (!Chosen(options, c)) continue;
    const absl::StatusOr<LoraTimes> times =
        probe.Measure(c, options.measure.blocks * options.measure.replays);
    if (absl::IsResourceExhausted(times.status())) {
      cases->push_back({{"name", c.name}, {"skipped", std::string(times.status().message())}});
    } else {
      CHORUS_RETURN_IF_ERROR(times.status());
      cases->push_back(LoraJson(c, *times, rates));
    }
    say(LoraLine(cases->back()));
  }
  return absl::OkStatus();
}

absl::Status Keep(const StepBenchOptions& options, const Json& result) {
  return options.json.empty() ? absl::OkStatus() : WriteJson(options.json, result);
}

}  // namespace

const char kStepBenchUsage[] =
    "[--shape NAME] [--only TEXT] [--ceilings | --lora-alone] [--json FILE] [--blocks N]\n"
    "       [--replays N] [--no-graphs] [--lora-early] [--lora-before | --lora-multiprocessors N]\n"
    "       [--lora-blocks N] [--lora-planes N] [--lora-wide-rows N] [--lora-cluster N]\n"
    "       [--attention-chunk N] [--attention-early] [--layers N]\n"
    "       [--model [--read-gb-s N] [--tflops N]]\n"
    "Whole steps on random weights: each case against the same step without adapters, in turns.\n"
    "  --shape NAME   llama-3-8b (the default), llama-2-7b, qwen2.5-7b, tiny\n"
    "  --only TEXT    cases whose names have TEXT in them\n"
    "  --ceilings     only what the device gives at best\n"
    "  --lora-alone   and how long LoRA's part of a step takes by itself, at each site\n"
    "  --json FILE    writes what is measured there too, anew after each case\n"
    "  --blocks N     of each side (6), each of --replays N timed steps (5)\n"
    "  --no-graphs    decodes launch kernel by kernel\n"
    "  --lora-before  LoRA runs before the base's product, not beside it on a stream of its own\n"
    "  --lora-early   LoRA's kernels may begin before those before them are done\n"
    "  --lora-multiprocessors N  that it fills there; the product is planned for the others\n"
    "  --lora-blocks N  of a launch of LoRA, at most\n"
    "  --lora-planes N  that a shrink of up to 64 rows leaves, at most: 4 to 16\n"
    "  --lora-wide-rows N  steps of up to so many rows have a delta in f32 (256)\n"
    "  --lora-cluster N  shrink and expand in one launch of clusters of 4 or 8 blocks\n"
    "  --attention-chunk N  tokens of keys of a block of decodes, at least; a power of two\n"
    "  --attention-early  its kernels may begin before those before them are done\n"
    "  --layers N     of the model, in place of its own\n"
    "  --model        runs nothing: bytes, products and floors at rates that are given\n";

absl::StatusOr<StepBenchOptions> ParseStepBench(const std::vector<absl::string_view>& arguments) {
  StepBenchOptions options;
  CHORUS_ASSIGN_OR_RETURN(options.model, FindStepModel("llama-3-8b"));
  options.rates = {.bytes_per_us = 4.3e6, .flops_per_us = 790e6};
  int layers = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const absl::string_view name = arguments[i];
    if (name == "--ceilings") {
      options.ceilings_only = true;
    } else if (name == "--lora-alone") {
      options.lora_only = true;
    } else if (name == "--model") {
      options.model_only = true;
    } else if (name == "--lora-early") {
      options.rig.lora.begin_early = true;
    } else if (name == "--attention-early") {
      options.rig.attention_early = true;
    } else if (name == "--lora-before") {
      options.rig.lora.beside_base = false;
    } else if (name == "--no-graphs") {
      options.rig.graphs = false;
    } else if (!TakesValue(name) || i + 1 == arguments.size()) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": no such argument, or no value"));
    } else {
      CHORUS_RETURN_IF_ERROR(SetOption(name, arguments[++i], &layers, &options));
    }
  }
  if (layers > 0) options.model.config.layers = layers;
  return options;
}

absl::StatusOr<Json> RunStepBench(const StepBenchOptions& options, StepDevice* device,
                                  const std::function<void(const std::string&)>& say) {
  Json result = Heading(options);
  result["device"] = ToJson(device->device->info());
  result["done"] = false;
  CHORUS_ASSIGN_OR_RETURN(
      const std::unique_ptr<StepRig> rig,
      StepRig::Create(device->device.get(), device->ops.get(), options.model, options.rig));
  result["memory"] = MemoryJson(rig->runner().memory_use(), rig->pool());
  CHORUS_ASSIGN_OR_RETURN(const StepCeilings ceilings,
                          MeasureCeilings(rig.get(), options.ceilings));
  result["ceilings"] = ToJson(ceilings);
  say(absl::StrCat(options.model.name, " on ", device->device->info().name, "\n",
                   CeilingsText(result["ceilings"])));
  CHORUS_RETURN_IF_ERROR(Keep(options, result));
  result["lora"] = Json::array();
  result["cases"] = Json::array();
  if (!options.ceilings_only) {
    CHORUS_RETURN_IF_ERROR(MeasureLora(options, ceilings.rates(), rig.get(), &result["lora"], say));
    CHORUS_RETURN_IF_ERROR(Keep(options, result));
  }
  if (!options.ceilings_only && !options.lora_only) {
    say(CaseHeading());
    for (const StepCase& c : StepCases(options.model)) {
      if (!Chosen(options, c)) continue;
      CHORUS_RETURN_IF_ERROR(MeasureOne(c, options, ceilings.rates(), rig.get(), &result["cases"]));
      say(CaseLine(result["cases"].back()));
      CHORUS_RETURN_IF_ERROR(Keep(options, result));
    }
    CHORUS_ASSIGN_OR_RETURN(const ColdTimes cold, MeasureCold(rig.get(), options.measure.replays));
    result["cold_adapter"] = ToJson(cold);
    say(absl::StrCat("cold adapter: ", result["cold_adapter"].dump()));
  }
  result["done"] = true;
  CHORUS_RETURN_IF_ERROR(Keep(options, result));
  return result;
}

int StepBenchMain(int argc, char** argv, const OpenStepDevice& open,
                  const std::function<void(StepDevice*, StepBenchOptions*)>& adapt) {
  const auto say = [](const std::string& text) {
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
  };
  absl::StatusOr<StepBenchOptions> options = ParseStepBench({argv + 1, argv + argc});
  if (!options.ok()) {
    std::fprintf(stderr, "%s\nusage: %s %s", std::string(options.status().message()).c_str(),
                 argv[0], kStepBenchUsage);
    return 2;
  }
  if (options->model_only) {
    const absl::Status kept = Keep(*options, ModelOnly(*options, say));
    if (!kept.ok()) say(std::string(kept.message()));
    return kept.ok() ? 0 : 1;
  }
  absl::StatusOr<StepDevice> device = open();
  if (!device.ok()) {
    say(std::string(device.status().message()));
    return 1;
  }
  adapt(&*device, &*options);
  const absl::StatusOr<Json> result = RunStepBench(*options, &*device, say);
  if (!result.ok()) say(result.status().ToString());
  return result.ok() ? 0 : 1;
}

}  // namespace chorus::bench
