// A short soak, which must meet all that it is there for; the long one is `bench/run simulate
// --soak`.
#include "bench/simulate/soak.h"

#include "gtest/gtest.h"

namespace chorus::bench {
namespace {

TEST(SoakTest, TwentyThousandRequestsMeetEverything) {
  const SoakOptions options = {.requests = 20'000, .phase_requests = 1'000, .seed = 1};
  const nlohmann::json counts = RunSoak(options)["counts"];
  SCOPED_TRACE(counts.dump(1));
  EXPECT_EQ(counts["requests"], 20'000);
  for (const char* what :
       {"refused", "ended at a stop token", "ended at their length", "ended at their deadline",
        "cancelled", "refused when they would be late", "ended with their adapter's load",
        "preemptions", "adapter evictions", "prefix evictions", "adapter loads that failed",
        "prompt tokens cached", "adapters deleted", "pins and unpins"}) {
    EXPECT_GT(counts.value(what, 0), 20) << what;
  }
}

TEST(SoakTest, ASeedRepeats) {
  const SoakOptions options = {.requests = 2'000, .phase_requests = 1'000, .seed = 77};
  EXPECT_EQ(RunSoak(options)["counts"], RunSoak(options)["counts"]);
}

}  // namespace
}  // namespace chorus::bench
