#include "engine/text/code_set.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <unordered_map>

#include "engine/text/unicode_tables.h"

namespace chorus::engine {
namespace {

using unicode_tables::Family;

CodeSet FromRuns(std::span<const uint32_t> runs) {
  std::vector<CodeSet::Range> ranges;
  char32_t at = 0;
  for (size_t i = 0; i < runs.size(); i += 2) {
    at += runs[i];
    if (runs[i + 1] > 0) ranges.push_back({at, at + runs[i + 1] - 1});
    at += runs[i + 1];
  }
  return CodeSet::FromRanges(std::move(ranges));
}

std::optional<CodeSet> Find(Family family, std::string_view name) {
  for (const unicode_tables::NamedTable& table : unicode_tables::NamedTables()) {
    if (table.family == family && table.name == name) return FromRuns(table.runs);
  }
  return std::nullopt;
}

const CodeSet* Probed(Family family, std::string_view name) {
  return new CodeSet(Find(family, name).value());
}

// Long names of the general categories (Unicode's PropertyValueAliases).
std::string_view ShortCategory(std::string_view name) {
  static const auto* const names = new std::unordered_map<std::string_view, std::string_view>{
      {"other", "c"},
      {"control", "cc"},
      {"format", "cf"},
      {"unassigned", "cn"},
      {"privateuse", "co"},
      {"surrogate", "cs"},
      {"letter", "l"},
      {"lowercaseletter", "ll"},
      {"modifierletter", "lm"},
      {"otherletter", "lo"},
      {"titlecaseletter", "lt"},
      {"uppercaseletter", "lu"},
      {"mark", "m"},
      {"combiningmark", "m"},
      {"spacingmark", "mc"},
      {"enclosingmark", "me"},
      {"nonspacingmark", "mn"},
      {"number", "n"},
      {"decimalnumber", "nd"},
      {"letternumber", "nl"},
      {"othernumber", "no"},
      {"punctuation", "p"},
      {"connectorpunctuation", "pc"},
      {"dashpunctuation", "pd"},
      {"closepunctuation", "pe"},
      {"finalpunctuation", "pf"},
      {"initialpunctuation", "pi"},
      {"otherpunctuation", "po"},
      {"openpunctuation", "ps"},
      {"symbol", "s"},
      {"currencysymbol", "sc"},
      {"modifiersymbol", "sk"},
      {"mathsymbol", "sm"},
      {"othersymbol", "so"},
      {"separator", "z"},
      {"lineseparator", "zl"},
      {"paragraphseparator", "zp"},
      {"spaceseparator", "zs"},
  };
  const auto found = names->find(name);
  return found == names->end() ? name : found->second;
}

const std::unordered_map<char32_t, CodeSet>& Orbits() {
  static const auto* const orbits = [] {
    auto* const map = new std::unordered_map<char32_t, CodeSet>;
    unicode_tables::ForEachRecord(unicode_tables::CaseOrbits(),
                                  [&](char32_t key, std::span<const uint32_t> members) {
                                    CodeSet& set = (*map)[key];
                                    for (const uint32_t member : members)
                                      set = set.Union(CodeSet::Of(member));
                                  });
    return map;
  }();
  return *orbits;
}

std::string Folded(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (c == ' ' || c == '_' || c == '-') continue;
    result.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  return result;
}

}  // namespace

CodeSet CodeSet::Of(char32_t first, char32_t last) {
  CodeSet result;
  if (first <= last) result.ranges_.push_back({first, last});
  return result;
}

CodeSet CodeSet::FromRanges(std::vector<Range> ranges) {
  CodeSet result;
  result.ranges_ = std::move(ranges);
  return result;
}

int64_t CodeSet::size() const {
  int64_t result = 0;
  for (const Range& range : ranges_) result += int64_t{range.last} - range.first + 1;
  return result;
}

bool CodeSet::Contains(char32_t code_point) const {
  const auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), code_point,
                       [](char32_t value, const Range& range) { return value < range.first; });
  return after != ranges_.begin() && code_point <= std::prev(after)->last;
}

CodeSet CodeSet::Union(const CodeSet& other) const {
  CodeSet result = *this;
  result.ranges_.insert(result.ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  std::sort(result.ranges_.begin(), result.ranges_.end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  size_t kept = 0;
  for (const Range& range : result.ranges_) {
    if (kept > 0 && range.first <= result.ranges_[kept - 1].last + 1) {
      result.ranges_[kept - 1].last = std::max(result.ranges_[kept - 1].last, range.last);
    } else {
      result.ranges_[kept++] = range;
    }
  }
  result.ranges_.resize(kept);
  return result;
}

CodeSet CodeSet::Intersection(const CodeSet& other) const {
  return Complement().Union(other.Complement()).Complement();
}

CodeSet CodeSet::Complement() const {
  CodeSet result;
  char32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) result.ranges_.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= 0x10FFFF) result.ranges_.push_back({next, 0x10FFFF});
  return result;
}

bool CodeSet::operator==(const CodeSet& other) const {
  return std::equal(
      ranges_.begin(), ranges_.end(), other.ranges_.begin(), other.ranges_.end(),
      [](const Range& a, const Range& b) { return a.first == b.first && a.last == b.last; });
}

std::optional<CodeSet> PropertySet(std::string_view name) {
  const std::string folded = Folded(name);
  const std::string_view category = ShortCategory(folded);
  if (folded == "any") return CodeSet::All();
  if (folded == "assigned") return Find(Family::kCategory, "cn").value().Complement();
  std::optional<CodeSet> result;
  if (category.size() == 1) {  // the sum of its two-letter categories
    for (const unicode_tables::NamedTable& table : unicode_tables::NamedTables()) {
      if (table.family != Family::kCategory || table.name[0] != category[0]) continue;
      result = result.value_or(CodeSet()).Union(FromRuns(table.runs));
    }
    return result;
  }
  if ((result = Find(Family::kCategory, category))) return result;
  if ((result = Find(Family::kBracket, folded))) return result;
  for (const unicode_tables::NamedTable& table : unicode_tables::NamedTables()) {
    if (table.family == Family::kScript && Folded(table.name) == folded) {
      return FromRuns(table.runs);
    }
  }
  return std::nullopt;
}

std::optional<CodeSet> BracketSet(std::string_view name) { return Find(Family::kBracket, name); }

const CodeSet& PerlDigits() {
  static const CodeSet* const set = Probed(Family::kPerl, "d");
  return *set;
}
const CodeSet& PerlSpaces() {
  static const CodeSet* const set = Probed(Family::kPerl, "s");
  return *set;
}
const CodeSet& PerlWords() {
  static const CodeSet* const set = Probed(Family::kPerl, "w");
  return *set;
}
const CodeSet& RustWords() {
  static const CodeSet* const set = Probed(Family::kRust, "word");
  return *set;
}
const CodeSet& RustSpaces() {
  static const CodeSet* const set = Probed(Family::kRust, "whitespace");
  return *set;
}
const CodeSet& RustNumerics() {
  static const CodeSet* const set = Probed(Family::kRust, "numeric");
  return *set;
}
const CodeSet& RustPunctuation() {
  static const CodeSet* const set = Probed(Family::kRust, "punctuation");
  return *set;
}
const CodeSet& RustMarks() {
  static const CodeSet* const set = Probed(Family::kRust, "combining_mark");
  return *set;
}

CodeSet CaseOrbit(char32_t code_point) {
  const auto found = Orbits().find(code_point);
  return found == Orbits().end() ? CodeSet::Of(code_point) : found->second;
}

CodeSet WithCaseOrbits(const CodeSet& set) {
  CodeSet result = set;
  for (const auto& [code_point, orbit] : Orbits()) {
    if (set.Contains(code_point)) result = result.Union(orbit);
  }
  return result;
}

}  // namespace chorus::engine
