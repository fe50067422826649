// Runs a body once for every Highway target that this processor has and the tests are built for. An
// op that is not built for it (HWY_DISABLED_TARGETS) runs its plain code.
#ifndef CHORUS_TESTS_SUPPORT_TARGETS_H_
#define CHORUS_TESTS_SUPPORT_TARGETS_H_

#include "gtest/gtest.h"
#include "hwy/highway.h"
#include "hwy/targets.h"

namespace chorus::test {

template <class Body>
void ForEachTarget(const Body& body) {
  const int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
  ASSERT_NE(targets, 0);
  for (int64_t left = targets; left != 0; left &= left - 1) {
    const int64_t target = left & -left;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_TARGETS_H_
