#include "engine/adapters/path_pattern.h"

#include <re2/re2.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

// RE2 instructions × paths of all patterns of one field. A path has some 40 characters, so this is
// about a second of the slowest matching; real adapters stay a hundred times below.
constexpr int64_t kMaxWork = 20'000'000;
constexpr int64_t kMaxMemory = int64_t{1} << 20;  // of one expression

// What in `pattern` Python's re and RE2 may understand differently; empty for nothing.
std::string DialectProblem(std::string_view pattern) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view rest = pattern.substr(i);
    if (rest.starts_with("(?") && !rest.starts_with("(?:") && !rest.starts_with("(?P<")) {
      return "look-around, flags and other (?…) groups are not supported";
    }
    if (rest.starts_with("{,")) return "{,n} is not supported: write {0,n}";
    if (rest.starts_with("[:")) return "[:classes:] are not supported";
    if (rest[0] != '\\') continue;
    if (rest.size() == 1) return "a backslash at the end";
    const auto escaped = static_cast<unsigned char>(rest[1]);
    constexpr std::string_view kCommonEscapes = "dDwWsSbB";
    if (!absl::ascii_ispunct(escaped) && kCommonEscapes.find(rest[1]) == std::string_view::npos) {
      return "only the escapes \\d \\w \\s \\b and of punctuation are supported";
    }
    ++i;
  }
  return "";
}

// Compiles the expressions of one field and keeps account of their work.
class Compiler {
 public:
  Compiler(const std::string& place, size_t num_paths)
      : place_(place), num_paths_(static_cast<int64_t>(num_paths)) {}

  // `before` + pattern + `after`, of which only the middle is a stranger's.
  absl::StatusOr<std::unique_ptr<re2::RE2>> Compile(const char* before, const std::string& pattern,
                                                    const char* after) {
    if (pattern.size() > kMaxPatternBytes) {
      return Refused(absl::StrCat("a pattern of at most ", kMaxPatternBytes, " bytes"),
                     absl::StrCat(pattern.size()));
    }
    if (const std::string problem = DialectProblem(pattern); !problem.empty()) {
      return Refused("a simpler pattern, or a list of names",
                     absl::StrCat(Quoted(pattern), " (", problem, ")"));
    }
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kMaxMemory);
    auto regex = std::make_unique<re2::RE2>(absl::StrCat(before, pattern, after), options);
    if (!regex->ok()) {
      return Refused("a regular expression that RE2 accepts",
                     absl::StrCat(Quoted(pattern), " (", Quoted(regex->error()), ")"));
    }
    work_ += regex->ProgramSize() * num_paths_;
    if (work_ > kMaxWork) return Refused("fewer or smaller patterns", "too much to match");
    return regex;
  }

 private:
  absl::Status Refused(std::string expected, std::string got) const {
    return Refuse(Reason::kAdapterPattern, place_, std::move(expected), std::move(got));
  }

  const std::string& place_;
  const int64_t num_paths_;
  int64_t work_ = 0;
};

bool Matches(const re2::RE2& regex, const std::string& path, re2::RE2::Anchor anchor) {
  return regex.Match(path, 0, path.size(), anchor, nullptr, 0);
}

}  // namespace

bool NamesPath(std::span<const std::string> names, std::string_view path) {
  return std::any_of(names.begin(), names.end(), [path](const std::string& name) {
    return path.ends_with(name) &&
           (path.size() == name.size() || path[path.size() - name.size() - 1] == '.');
  });
}

absl::StatusOr<std::vector<bool>> SelectPaths(const ModuleSelection& selection,
                                              const std::string& place,
                                              std::span<const std::string> paths) {
  std::vector<bool> selected(paths.size(), selection.all_linear);
  if (selection.all_linear) return selected;
  if (!selection.regex.has_value()) {
    for (size_t i = 0; i < paths.size(); ++i) selected[i] = NamesPath(selection.names, paths[i]);
    return selected;
  }
  CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<re2::RE2> regex,
                          Compiler(place, paths.size()).Compile("", *selection.regex, ""));
  for (size_t i = 0; i < paths.size(); ++i) {
    selected[i] = Matches(*regex, paths[i], re2::RE2::ANCHOR_BOTH);
  }
  return selected;
}

absl::StatusOr<std::vector<int>> FirstMatchingKeys(std::span<const std::string> keys,
                                                   const std::string& place,
                                                   std::span<const std::string> paths) {
  std::vector<int> first(paths.size(), -1);
  Compiler compiler(place, paths.size());
  // One expression at a time, so that memory does not grow with their number.
  for (size_t k = 0; k < keys.size(); ++k) {
    CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<re2::RE2> regex,
                            compiler.Compile("(.*\\.)?(", keys[k], ")$"));
    for (size_t i = 0; i < paths.size(); ++i) {
      if (first[i] < 0 && Matches(*regex, paths[i], re2::RE2::ANCHOR_START)) {
        first[i] = static_cast<int>(k);
      }
    }
  }
  return first;
}

absl::StatusOr<std::vector<int64_t>> LayerIndices(std::span<const std::string> patterns,
                                                  const std::string& place,
                                                  std::span<const std::string> paths) {
  std::vector<int64_t> indices(paths.size(), -1);
  Compiler compiler(place, paths.size());
  for (const std::string& pattern : patterns) {
    CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<re2::RE2> regex,
                            compiler.Compile("(?:^|.*?\\.)", pattern, "\\.(\\d+)\\."));
    const int last_group = regex->NumberOfCapturingGroups();  // ours: the pattern may have its own
    std::vector<re2::StringPiece> groups(static_cast<size_t>(last_group) + 1);
    for (size_t i = 0; i < paths.size(); ++i) {
      if (indices[i] >= 0) continue;
      if (!regex->Match(paths[i], 0, paths[i].size(), re2::RE2::ANCHOR_START, groups.data(),
                        last_group + 1)) {
        continue;
      }
      const re2::StringPiece& digits = groups.back();
      if (!absl::SimpleAtoi(absl::string_view(digits.data(), digits.size()), &indices[i])) {
        indices[i] = -1;
      }
    }
  }
  return indices;
}

}  // namespace chorus::engine
