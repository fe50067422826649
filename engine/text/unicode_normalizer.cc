#include "engine/text/unicode_normalizer.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>

#include "engine/text/code_set.h"
#include "engine/text/unicode_tables.h"

namespace chorus::engine {
namespace {

// Hangul syllables are composed by arithmetic (the Unicode standard, chapter 3.12).
constexpr char32_t kSBase = 0xAC00, kLBase = 0x1100, kVBase = 0x1161, kTBase = 0x11A7;
constexpr uint32_t kLCount = 19, kVCount = 21, kTCount = 28, kSCount = kLCount * kVCount * kTCount;

bool IsSyllable(char32_t c) { return c >= kSBase && c < kSBase + kSCount; }

bool Composes(NormalForm form) { return form == NormalForm::kNfc || form == NormalForm::kNfkc; }
bool IsCompatible(NormalForm form) {
  return form == NormalForm::kNfkc || form == NormalForm::kNfkd;
}

struct Tables {
  using Decompositions = std::unordered_map<char32_t, std::span<const uint32_t>>;
  Decompositions canonical, compatible, lowercase;
  std::unordered_map<char32_t, uint8_t> combining_class;
  std::unordered_map<uint64_t, char32_t> compositions;
  CodeSet active[4];  // by form: characters that it may touch or join to the one before

  Tables();
  static const Tables& Get() {
    static const auto* const tables = new Tables;
    return *tables;
  }

  uint8_t ClassOf(char32_t c) const {
    const auto found = combining_class.find(c);
    return found == combining_class.end() ? 0 : found->second;
  }

  std::optional<char32_t> Compose(char32_t first, char32_t second) const {
    if (first >= kLBase && first < kLBase + kLCount && second >= kVBase &&
        second < kVBase + kVCount) {
      return kSBase + ((first - kLBase) * kVCount + (second - kVBase)) * kTCount;
    }
    if (IsSyllable(first) && (first - kSBase) % kTCount == 0 && second > kTBase &&
        second < kTBase + kTCount) {
      return first + (second - kTBase);
    }
    const auto found = compositions.find(uint64_t{first} << 32 | second);
    if (found == compositions.end()) return std::nullopt;
    return found->second;
  }
};

void Decompose(const Tables& tables, ChangedCharacter c, bool compatible,
               std::vector<ChangedCharacter>* out) {
  int change = c.change;
  const auto put = [&](char32_t code_point) {
    out->push_back({code_point, change});
    change = 1;
  };
  if (IsSyllable(c.code_point)) {
    const uint32_t index = c.code_point - kSBase;
    put(kLBase + index / (kVCount * kTCount));
    put(kVBase + index % (kVCount * kTCount) / kTCount);
    if (index % kTCount != 0) put(kTBase + index % kTCount);
    return;
  }
  if (compatible) {
    const auto strong = tables.compatible.find(c.code_point);
    if (strong != tables.compatible.end()) {
      for (const uint32_t part : strong->second) put(part);
      return;
    }
  }
  const auto found = tables.canonical.find(c.code_point);
  if (found == tables.canonical.end()) return put(c.code_point);
  for (const uint32_t part : found->second) put(part);
}

void OrderMarks(const Tables& tables, std::vector<ChangedCharacter>* text) {
  const auto class_of = [&](const ChangedCharacter& c) { return tables.ClassOf(c.code_point); };
  auto begin = text->begin();
  while (begin != text->end()) {
    if (class_of(*begin) == 0) {
      ++begin;
      continue;
    }
    auto end = begin;
    while (end != text->end() && class_of(*end) != 0) ++end;
    std::stable_sort(begin, end, [&](const ChangedCharacter& a, const ChangedCharacter& b) {
      return class_of(a) < class_of(b);
    });
    begin = end;
  }
}

void ComposeAll(const Tables& tables, std::vector<ChangedCharacter>* text) {
  size_t kept = 0;
  std::optional<size_t> starter;
  uint8_t last_class = 0;  // of the character kept last behind the starter; 0: none between
  for (const ChangedCharacter& c : *text) {
    const uint8_t combining_class = tables.ClassOf(c.code_point);
    if (starter.has_value() && (last_class == 0 || last_class < combining_class)) {
      ChangedCharacter& base = (*text)[*starter];
      if (const auto composed = tables.Compose(base.code_point, c.code_point)) {
        base = {*composed, base.change + c.change - 1};
        continue;
      }
    }
    if (combining_class == 0) starter = kept;
    last_class = combining_class;
    (*text)[kept++] = c;
  }
  text->resize(kept);
}

std::vector<ChangedCharacter> NormalizeFully(const Tables& tables,
                                             const std::vector<ChangedCharacter>& text,
                                             NormalForm form) {
  std::vector<ChangedCharacter> result;
  result.reserve(text.size());
  for (const ChangedCharacter& c : text) Decompose(tables, c, IsCompatible(form), &result);
  OrderMarks(tables, &result);
  if (Composes(form)) ComposeAll(tables, &result);
  return result;
}

Tables::Tables() {
  const auto fill = [](std::span<const uint32_t> records, Decompositions* map) {
    unicode_tables::ForEachRecord(
        records, [&](char32_t c, std::span<const uint32_t> parts) { map->emplace(c, parts); });
  };
  fill(unicode_tables::Canonical(), &canonical);
  fill(unicode_tables::Compatible(), &compatible);
  fill(unicode_tables::Lowercase(), &lowercase);
  std::vector<char32_t> suspects;
  for (const auto& [c, parts] : canonical) suspects.push_back(c);
  for (const auto& [c, parts] : compatible) suspects.push_back(c);
  std::vector<CodeSet::Range> always;  // marks, and what joins to the character before it
  const std::span<const uint32_t> classes = unicode_tables::CombiningClass();
  for (size_t i = 0; i < classes.size(); i += 3) {
    always.push_back({classes[i], classes[i] + classes[i + 1] - 1});
    for (uint32_t k = 0; k < classes[i + 1]; ++k) {
      combining_class.emplace(classes[i] + k, static_cast<uint8_t>(classes[i + 2]));
    }
  }
  const std::span<const uint32_t> composed = unicode_tables::Compositions();
  for (size_t i = 0; i < composed.size(); i += 3) {
    compositions.emplace(uint64_t{composed[i]} << 32 | composed[i + 1], composed[i + 2]);
    always.push_back({composed[i + 1], composed[i + 1]});
  }
  always.push_back({kVBase, kVBase + kVCount - 1});
  always.push_back({kTBase, kTBase + kTCount - 1});
  for (const NormalForm form :
       {NormalForm::kNfc, NormalForm::kNfd, NormalForm::kNfkc, NormalForm::kNfkd}) {
    std::vector<CodeSet::Range> ranges = always;
    for (const char32_t c : suspects) {
      const auto alone = NormalizeFully(*this, {{c, 0}}, form);
      if (alone.size() != 1 || alone[0].code_point != c) ranges.push_back({c, c});
    }
    if (!Composes(form)) ranges.push_back({kSBase, kSBase + kSCount - 1});
    active[static_cast<int>(form)] = CodeSet().Union(CodeSet::FromRanges(std::move(ranges)));
  }
}

}  // namespace

std::vector<ChangedCharacter> Normalize(const std::vector<ChangedCharacter>& text,
                                        NormalForm form) {
  const Tables& tables = Tables::Get();
  const CodeSet& active = tables.active[static_cast<int>(form)];
  const bool untouched = std::none_of(text.begin(), text.end(), [&](const ChangedCharacter& c) {
    return c.code_point >= 0x80 && active.Contains(c.code_point);
  });
  return untouched ? text : NormalizeFully(tables, text, form);
}

void AppendLowercase(char32_t code_point, std::vector<ChangedCharacter>* out) {
  const Tables& tables = Tables::Get();
  const auto found = tables.lowercase.find(code_point);
  if (found == tables.lowercase.end()) {
    out->push_back({code_point, 0});
    return;
  }
  int change = 0;
  for (const uint32_t part : found->second) {
    out->push_back({part, change});
    change = 1;
  }
}

}  // namespace chorus::engine
