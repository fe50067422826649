// Oracle of Linear: plain loops in double precision.
#ifndef CHORUS_TESTS_SUPPORT_REFERENCE_LINEAR_H_
#define CHORUS_TESTS_SUPPORT_REFERENCE_LINEAR_H_

#include <cmath>
#include <cstdint>

#include "tests/support/test_tensor.h"

namespace chorus::test {

// A sum, and the sum of the magnitudes of what was added, which bounds its rounding error.
struct ReferenceSum {
  double value = 0.0;
  double magnitude = 0.0;

  void Add(double term) {
    value += term;
    magnitude += std::abs(term);
  }
};

// x[row] · w[output], both over all columns.
inline ReferenceSum ReferenceDot(const TestTensor& x, int64_t row, const TestTensor& w,
                                 int64_t output) {
  ReferenceSum sum;
  for (int64_t i = 0; i < w.cols(); ++i) sum.Add(x.Get(row, i) * w.Get(output, i));
  return sum;
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_REFERENCE_LINEAR_H_
