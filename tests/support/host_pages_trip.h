// A sequence's pages are saved on the host, others overwrite them, and they come back into other
// pages: its logits must be the same bits. For any runner with host pages.
#ifndef CHORUS_TESTS_SUPPORT_HOST_PAGES_TRIP_H_
#define CHORUS_TESTS_SUPPORT_HOST_PAGES_TRIP_H_

#include <algorithm>
#include <cstring>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/model_host.h"

namespace chorus::test {

// REQUIRES: the host's runner has `num_slots` >= 5.
inline void ExpectPagesComeBack(ModelHost& host, int32_t adapter_slot, int32_t num_slots) {
  const auto tokens = [&](int32_t count, int32_t salt) {
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < count; ++i) ids.push_back(3 + (i * 7 + salt) % 40);
    return ids;
  };
  HostSequence sequence{.slot = adapter_slot, .tokens = {}, .pages = {}};
  ASSERT_TRUE(host.Step({{{&sequence, tokens(70, 0)}}}).ok());
  const auto before = host.Step({{{&sequence, {5}}}});
  ASSERT_TRUE(before.ok()) << before.status();
  sequence.tokens.pop_back();

  // Saved, last page first, by a step of somebody else.
  HostSequence other{.slot = -1, .tokens = {}, .pages = {}};
  auto planned = host.Plan({{{&other, tokens(10, 11)}}});
  ASSERT_TRUE(planned.ok()) << planned.status();
  const std::vector<engine::PageId> left(sequence.pages.ids().begin(), sequence.pages.ids().end());
  for (size_t i = 0; i < left.size(); ++i) {
    planned->plan.saves.push_back({left[i], num_slots - 1 - static_cast<int32_t>(i)});
  }
  ASSERT_TRUE(host.backend().runner().Run(planned->plan).ok());

  // Overwritten.
  sequence.pages.Release();
  HostSequence next{.slot = -1, .tokens = {}, .pages = {}};
  ASSERT_TRUE(host.Step({{{&next, tokens(80, 11)}}}).ok());
  for (const engine::PageId page : left) {
    ASSERT_NE(std::ranges::find(next.pages.ids(), page), next.pages.ids().end());
  }

  // Brought back in the step that reads them.
  planned = host.Plan({{{&sequence, {5}}}});
  ASSERT_TRUE(planned.ok()) << planned.status();
  for (size_t i = 0; i < left.size(); ++i) {
    planned->plan.restores.push_back(
        {sequence.pages[static_cast<int64_t>(i)], num_slots - 1 - static_cast<int32_t>(i)});
  }
  const int32_t row[] = {0};
  const auto after = host.backend().RunForLogits(planned->plan, row);
  ASSERT_TRUE(after.ok()) << after.status();
  const std::vector<float>& want = (*before)[0][0];
  ASSERT_EQ(after->size(), want.size());
  EXPECT_EQ(std::memcmp(after->data(), want.data(), want.size() * sizeof(float)), 0);

  for (const bool save : {true, false}) {
    for (const kernels::HostPageCopy bad :
         {kernels::HostPageCopy{0, num_slots}, kernels::HostPageCopy{0, -1},
          kernels::HostPageCopy{static_cast<int32_t>(host.pool_view().num_ids), 0}}) {
      engine::StepPlan plan{.sequence_rows_begin = {0}, .page_begin = {0}};
      (save ? plan.saves : plan.restores).push_back(bad);
      EXPECT_EQ(host.backend().runner().Run(plan).status().code(),
                absl::StatusCode::kInvalidArgument);
    }
  }
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_HOST_PAGES_TRIP_H_
