// What is said of steps: JSON for bench/run and a line for people. A ratio is never said without
// the share of its floor that the base step reached, and counts only if that is enough.
#ifndef CHORUS_BENCH_GPU_STEP_REPORT_H_
#define CHORUS_BENCH_GPU_STEP_REPORT_H_

#include <string>

#include "absl/status/status.h"
#include "bench/gpu/step_ceilings.h"
#include "bench/gpu/step_lora.h"
#include "bench/gpu/step_measure.h"
#include "nlohmann/json.hpp"

namespace chorus::bench {

using Json = nlohmann::ordered_json;

// A ratio over a slower base flatters.
constexpr double kMinBaseShare = 0.70;

Json ToJson(const StepCeilings& ceilings);
Json ToJson(const ColdTimes& times);
Json LoraJson(const StepCase& c, const LoraTimes& times, const StepRates& rates);
// Of a GPU or of the simulator.
Json ToJson(const kernels::DeviceInfo& info);

// What is known of a case before it runs: its shape, what it moves and computes, its floors and
// their ratio.
Json CaseJson(const StepModel& model, const StepCase& c, const StepRates& rates);
// Adds what was measured.
void AddTimes(const CaseTimes& times, Json* c);
// A line of the table, and its heading.
std::string CaseLine(const Json& c);
std::string CaseHeading();
std::string CeilingsText(const Json& ceilings);
std::string LoraLine(const Json& c);

// In one step: a reader, or a process that is cut off, finds the old file or the new one.
absl::Status WriteJson(const std::string& path, const Json& json);

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_GPU_STEP_REPORT_H_
