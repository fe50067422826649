#include "engine/memory/host_prefixes.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

PrefixKey Key(uint8_t name) {
  PrefixKey key;
  key.bytes[0] = name;
  return key;
}

TEST(HostPrefixesTest, WhatWasUsedLongestAgoMakesRoom) {
  HostPrefixes pages(2);
  const int32_t a = *pages.Add(Key(1), 0);
  const int32_t b = *pages.Add(Key(2), 0);
  EXPECT_NE(a, b);
  pages.Release(pages.Hold(Key(1)));  // used
  EXPECT_EQ(pages.Add(Key(3), 0), b);
  EXPECT_TRUE(pages.Contains(Key(1)));
  EXPECT_FALSE(pages.Contains(Key(2)));
}

TEST(HostPrefixesTest, WhatIsHeldStays) {
  HostPrefixes pages(2);
  pages.Add(Key(1), 0);
  pages.Add(Key(2), 0);
  const int32_t a = pages.Hold(Key(1));
  const int32_t b = pages.Hold(Key(2));
  EXPECT_EQ(pages.Hold(Key(2)), b);
  EXPECT_EQ(pages.Add(Key(3), 0), std::nullopt);
  pages.Release(b);
  EXPECT_EQ(pages.Add(Key(3), 0), std::nullopt);  // held twice
  pages.Release(b);
  EXPECT_EQ(pages.Add(Key(3), 0), b);
  pages.Release(a);
  EXPECT_EQ(pages.num_used(), 2);
}

TEST(HostPrefixesTest, RunEndsWhereAPageIsMissing) {
  HostPrefixes pages(4);
  for (const uint8_t name : {1, 2, 4}) pages.Add(Key(name), 0);
  const std::vector<PrefixKey> keys = {Key(1), Key(2), Key(3), Key(4)};
  EXPECT_EQ(pages.MatchLength(keys), 2);
  EXPECT_EQ(pages.MatchLength(std::span(keys).subspan(2)), 0);
  EXPECT_EQ(pages.MatchLength({}), 0);
}

TEST(HostPrefixesTest, ForgottenPagesAreNotFoundAndTheirSlotsComeFirst) {
  HostPrefixes pages(3);
  pages.Add(Key(1), 0);
  const int32_t mine = *pages.Add(Key(2), 7);
  const int32_t held = *pages.Add(Key(3), 7);
  pages.Hold(Key(3));
  pages.Forget(7);
  pages.Forget(8);
  EXPECT_FALSE(pages.Contains(Key(2)) || pages.Contains(Key(3)));
  EXPECT_TRUE(pages.Contains(Key(1)));
  EXPECT_EQ(pages.Add(Key(4), 0), mine);
  pages.Release(held);
  EXPECT_EQ(pages.Add(Key(5), 0), held);
  EXPECT_TRUE(pages.Contains(Key(1)));
}

// Against a model that is a list of keys by last use.
TEST(HostPrefixesTest, RandomUse) {
  const uint32_t seed = 11;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  constexpr size_t kSlots = 6;
  HostPrefixes pages(kSlots);
  std::vector<uint8_t> by_use;                      // not held, longest ago first
  std::map<uint8_t, std::pair<int32_t, int>> held;  // slot and count, found or not
  std::map<uint8_t, int32_t> slot_of;               // of those that are found
  const auto drop = [&](uint8_t name) {
    slot_of.erase(name);
    std::erase(by_use, name);
  };
  for (int i = 0; i < 20000; ++i) {
    const auto name = static_cast<uint8_t>(random() % 12);
    const bool here = slot_of.contains(name);
    ASSERT_EQ(pages.Contains(Key(name)), here);
    switch (random() % 4) {
      case 0: {
        if (here || held.contains(name)) break;
        const std::optional<int32_t> slot = pages.Add(Key(name), name % 3);
        if (held.size() == kSlots) {
          ASSERT_EQ(slot, std::nullopt);
          break;
        }
        ASSERT_TRUE(slot.has_value());
        for (const auto& [other, at] : held) ASSERT_NE(at.first, *slot) << int{other};
        const auto same =
            std::ranges::find_if(slot_of, [&](const auto& entry) { return entry.second == *slot; });
        if (same != slot_of.end()) {
          ASSERT_EQ(by_use.front(), same->first);
          drop(same->first);
        }
        slot_of[name] = *slot;
        by_use.push_back(name);
        break;
      }
      case 1:
        if (!here) break;
        ASSERT_EQ(pages.Hold(Key(name)), slot_of[name]);
        held.try_emplace(name, slot_of[name], 0).first->second.second++;
        std::erase(by_use, name);
        break;
      case 2: {
        const auto found = held.find(name);
        if (found == held.end()) break;
        pages.Release(found->second.first);
        if (--found->second.second > 0) break;
        held.erase(found);
        if (here) by_use.push_back(name);
        break;
      }
      default:
        if (random() % 20 != 0) break;
        pages.Forget(name % 3);
        for (uint8_t other = 0; other < 12; ++other) {
          if (name % 3 != 0 && other % 3 == name % 3) drop(other);
        }
    }
    ASSERT_EQ(pages.num_used(), std::ssize(slot_of));
  }
}

}  // namespace
}  // namespace chorus::engine
