#include "tests/server/metrics/exposition.h"

#include "gtest/gtest.h"

namespace chorus::test {
namespace {

TEST(ExpositionTest, ReadsWhatIsWellFormed) {
  const auto families = ParseExposition(
      "# HELP a:b Help text\n# TYPE a:b gauge\na:b 1\na:b{x=\"q\\\"\\\\\\n\",y=\"\"} -2.5e3\n"
      "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n");
  ASSERT_TRUE(families.ok()) << families.status();
  EXPECT_EQ(families->at("a:b").type, "gauge");
  EXPECT_EQ(families->at("a:b").samples.at({"a:b", {}}), 1);
  EXPECT_EQ(families->at("a:b").samples.at({"a:b", {{"x", "q\"\\\n"}, {"y", ""}}}), -2500);
  EXPECT_EQ(families->at("h").samples.at({"h_bucket", {{"le", "+Inf"}}}), 3);
}

TEST(ExpositionTest, RefusesWhatAScraperWould) {
  for (const char* text :
       {"a 1\n", "# TYPE a gauge\nb 1\n", "# TYPE a gauge\na 1", "# TYPE a gauge\na\n",
        "# TYPE a gauge\na x\n", "# TYPE a gauge\na 1\na 2\n",
        "# TYPE a gauge\na 1\n# TYPE a gauge\n", "# TYPE a gauge\na{x=\"1\" 1\n",
        "# TYPE a gauge\na{x=1} 1\n", "# TYPE a gauge\na{x=\"\\t\"} 1\n",
        "# TYPE a gauge\na{x=\"1\",x=\"2\"} 1\n", "# TYPE a gauge\na{1x=\"1\"} 1\n",
        "# TYPE h histogram\nh 1\n", "# TYPE a counter\na_count 1\n"}) {
    EXPECT_FALSE(ParseExposition(text).ok()) << text;
  }
}

}  // namespace
}  // namespace chorus::test
