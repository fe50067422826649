// chorus_step_bench_sim: the bench of whole steps on the simulator. Its times are the simulator's
// and mean nothing; what it counts does: launches, bytes, cases.
#include "tests/simt/step_device_sim.h"

int main(int argc, char** argv) {
  using namespace chorus;
  return bench::StepBenchMain(
      argc, argv, []() -> absl::StatusOr<bench::StepDevice> { return test::OpenSimStepDevice(); },
      test::AdaptToSim);
}
