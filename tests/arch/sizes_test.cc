// Files stay small enough to be read in one go: headers up to 200 lines, sources up to 500, kernels
// up to 400, test files up to 500.
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tests/arch/source_tree.h"

namespace chorus {
namespace {

size_t Limit(const std::string& path) {
  if (absl::EndsWith(path, ".h") || absl::EndsWith(path, ".cuh")) return 200;
  return absl::EndsWith(path, ".cu") ? 400 : 500;
}

TEST(SizesTest, FilesStayWithinTheirLimit) {
  size_t files = 0;
  for (const SourceFile& file : ReadSources({"kernels", "engine", "server", "tests", "bench"})) {
    if (absl::StrContains(file.path, "_table")) continue;  // generated data
    ++files;
    EXPECT_LE(file.lines.size(), Limit(file.path)) << file.path;
    EXPECT_FALSE(file.lines.empty()) << file.path << " is empty";
  }
  EXPECT_GT(files, 50u);
}

}  // namespace
}  // namespace chorus
