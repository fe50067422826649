#include "kernels/device/cuda_library.h"

#include <sys/stat.h>

#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace chorus::kernels {
namespace {

using testing::HasSubstr;

void MakeFile(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    mkdir(path.substr(0, slash).c_str(), 0755);
  }
  std::ofstream(path) << "no library";
}

TEST(CudaLibraryTest, SaysEveryPlaceThatItTried) {
  const test::TempDir dir;
  const CudaLibraryPlaces places = {.root = dir.path() + "/root",
                                    .home = dir.path() + "/home",
                                    .virtual_env = dir.path() + "/env"};
  MakeFile(places.root + "/usr/local/cuda-13.0/lib64/libnothere.so.13");
  MakeFile(places.root + "/usr/local/cuda-13.2/lib64/libnothere.so.13");
  MakeFile(places.virtual_env + "/lib/python3.11/site-packages/nvidia/cu13/lib/libnothere.so.13");
  const auto library = OpenCudaLibrary(places, "libnothere.so.13");
  ASSERT_EQ(library.status().code(), absl::StatusCode::kNotFound);
  const std::string message(library.status().message());
  for (const std::string& pattern : CudaLibraryPatterns(places, "libnothere.so.13")) {
    if (pattern.find("cuda-*") != std::string::npos || pattern.find("/env/") != std::string::npos) {
      continue;
    }
    EXPECT_THAT(message, HasSubstr(pattern + " (not there)"));
  }
  EXPECT_THAT(message, HasSubstr("cannot be opened; tried libnothere.so.13 ("));  // the linker's
  EXPECT_THAT(message, HasSubstr("cuda-13.0/lib64/libnothere.so.13 ("));
  EXPECT_THAT(message, HasSubstr("python3.11/site-packages/nvidia/cu13/lib/libnothere.so.13 ("));
  EXPECT_LT(message.find("cuda-13.2/"), message.find("cuda-13.0/"));  // the newer one first
}

TEST(CudaLibraryTest, OpensWhatIsThereAndFindsItsFunctions) {
  const auto library = OpenCudaLibrary(CudaLibraryPlaces::FromEnvironment(), "libm.so.6");
  ASSERT_TRUE(library.ok()) << library.status();
  const auto function = FindFunction(*library, "cos");
  ASSERT_TRUE(function.ok());
  EXPECT_EQ(reinterpret_cast<double (*)(double)>(*function)(0.0), 1.0);
  EXPECT_EQ(FindFunction(*library, "no_such_function").status().message(),
            "no function no_such_function");
}

}  // namespace
}  // namespace chorus::kernels
