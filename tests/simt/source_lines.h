// Places in a test's own source, so that a test can say what a report must name.
#ifndef CHORUS_TESTS_SIMT_SOURCE_LINES_H_
#define CHORUS_TESTS_SIMT_SOURCE_LINES_H_

#include <fstream>
#include <string>

#include "kernels/check.h"

namespace chorus::kernels {

// The number of the one line of tests/simt/`file` that ends with the comment "// <mark>".
inline std::string LineOf(const std::string& file, const std::string& mark) {
  std::ifstream in(CHORUS_SOURCE_DIR "/tests/simt/" + file);
  CHORUS_CHECK(in.is_open());
  int found = 0;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (!line.ends_with("// <" + mark + ">")) continue;
    CHORUS_CHECK_EQ(found, 0);
    found = number;
  }
  CHORUS_CHECK_GT(found, 0);
  return std::to_string(found);
}

// "shrink_test.cc:57".
inline std::string At(const std::string& file, const std::string& mark) {
  return file + ":" + LineOf(file, mark);
}

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SOURCE_LINES_H_
