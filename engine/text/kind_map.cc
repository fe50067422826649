#include "engine/text/kind_map.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/text/str_cat.h"

namespace chorus::engine {
namespace {

constexpr size_t kPages = 0x1100;  // of 256 code points

struct Edge {
  char32_t at;
  size_t set;  // begins or ends here
};

std::vector<Edge> EdgesOf(const std::vector<CodeSet>& sets) {
  std::vector<Edge> edges;
  for (size_t i = 0; i < sets.size(); ++i) {
    for (const CodeSet::Range& range : sets[i].ranges()) {
      edges.push_back({range.first, i});
      edges.push_back({range.last + 1, i});
    }
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.at < b.at; });
  return edges;
}

}  // namespace

absl::StatusOr<KindMap> KindMap::Build(const std::vector<CodeSet>& sets) {
  KindMap map;
  map.kinds_of_.resize(sets.size());
  std::vector<uint8_t> flat(kPages * 256);
  std::map<std::vector<bool>, uint8_t> kind_by_members;
  std::vector<bool> members(sets.size());
  const auto fill = [&](char32_t first, char32_t end) {
    const auto [entry, added] =
        kind_by_members.emplace(members, static_cast<uint8_t>(kind_by_members.size()));
    if (added) {
      for (size_t i = 0; i < sets.size(); ++i) {
        if (members[i]) map.kinds_of_[i].push_back(entry->second);
      }
    }
    std::fill(flat.begin() + first, flat.begin() + end, entry->second);
    return kind_by_members.size() <= kMaxKinds;
  };
  char32_t at = 0;
  for (const Edge& edge : EdgesOf(sets)) {
    if (edge.at > at && !fill(at, edge.at)) {
      return absl::InvalidArgumentError(
          StrCat("regular expression: tells more than ", kMaxKinds, " kinds of characters apart"));
    }
    at = edge.at;
    members[edge.set] = !members[edge.set];
  }
  if (at <= 0x10FFFF && !fill(at, 0x110000)) {
    return absl::InvalidArgumentError(
        StrCat("regular expression: tells more than ", kMaxKinds, " kinds of characters apart"));
  }
  std::map<Page, uint16_t> known;
  for (size_t i = 0; i < kPages; ++i) {
    Page page;
    std::copy_n(flat.begin() + static_cast<std::ptrdiff_t>(i * 256), 256, page.begin());
    const auto [entry, added] = known.emplace(page, static_cast<uint16_t>(known.size()));
    if (added) map.pages_.push_back(page);
    map.page_of_.push_back(entry->second);
  }
  return map;
}

}  // namespace chorus::engine
