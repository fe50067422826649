#include "engine/text/pre_tokenizer_step.h"

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <utility>

#include "engine/text/code_set.h"
#include "engine/text/json_pattern.h"
#include "engine/text/kind_map.h"
#include "engine/text/str_cat.h"
#include "engine/text/utf8.h"
#include "kernels/status_macros.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {
namespace {

using Match = Pattern::Match;
using Level = PreTokenizer::Scratch::Level;
using Step = PreTokenizer::Step;
using StepOr = absl::StatusOr<std::unique_ptr<const Step>>;

// GPT-2's expression, which ByteLevel carries in itself.
constexpr std::string_view kGpt2Expression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

void MatchCharacters(std::string_view text, const KindMap& kinds, uint8_t wanted,
                     std::vector<Match>* matches) {
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (kinds.KindOf(DecodeUtf8(text, &at)) == wanted) matches->push_back({begin, at});
  }
}

class PatternStep : public Step {
 public:
  PatternStep(Pattern pattern, bool invert, SplitBehavior behavior)
      : pattern_(std::move(pattern)), invert_(invert), behavior_(behavior) {}

  absl::Status Cut(const TextPiece& piece, Level* scratch,
                   std::vector<Match>* spans) const override {
    scratch->matches.clear();
    CHORUS_RETURN_IF_ERROR(pattern_.FindAll(piece.text, &scratch->pattern, &scratch->matches));
    CutAtMatches(piece.text.size(), scratch->matches, invert_, behavior_, spans);
    return absl::OkStatus();
  }

 private:
  const Pattern pattern_;
  const bool invert_;
  const SplitBehavior behavior_;
};

class CharacterStep : public Step {
 public:
  static StepOr Build(const CodeSet& set, SplitBehavior behavior) {
    CHORUS_ASSIGN_OR_RETURN(KindMap kinds, KindMap::Build({set}));
    return std::make_unique<CharacterStep>(std::move(kinds), behavior);
  }
  CharacterStep(KindMap kinds, SplitBehavior behavior)
      : kinds_(std::move(kinds)), behavior_(behavior) {}

  absl::Status Cut(const TextPiece& piece, Level* scratch,
                   std::vector<Match>* spans) const override {
    scratch->matches.clear();
    MatchCharacters(piece.text, kinds_, kinds_.KindsOf(0)[0], &scratch->matches);
    CutAtMatches(piece.text.size(), scratch->matches, false, behavior_, spans);
    return absl::OkStatus();
  }

 private:
  const KindMap kinds_;
  const SplitBehavior behavior_;
};

// Runs of \w and runs of what is neither \w nor white space.
class WhitespaceStep : public Step {
 public:
  static StepOr Build() {
    CHORUS_ASSIGN_OR_RETURN(KindMap kinds, KindMap::Build({RustWords(), RustSpaces()}));
    return std::make_unique<WhitespaceStep>(std::move(kinds));
  }
  explicit WhitespaceStep(KindMap kinds) : kinds_(std::move(kinds)) {}

  absl::Status Cut(const TextPiece& piece, Level* /*scratch*/,
                   std::vector<Match>* spans) const override {
    const uint8_t space = kinds_.KindsOf(1)[0];
    int last = space;
    for (size_t at = 0; at < piece.text.size();) {
      const size_t begin = at;
      const uint8_t kind = kinds_.KindOf(DecodeUtf8(piece.text, &at));
      if (kind != space && kind == last) {
        spans->back().end = at;
      } else if (kind != space) {
        spans->push_back({begin, at});
      }
      last = kind;
    }
    return absl::OkStatus();
  }

 private:
  const KindMap kinds_;
};

class ByteLevelStep : public Step {
 public:
  ByteLevelStep(std::optional<Pattern> pattern, bool add_prefix_space)
      : pattern_(std::move(pattern)), add_prefix_space_(add_prefix_space) {}

  bool rewrites() const override { return add_prefix_space_; }
  bool spells_bytes() const override { return true; }
  void Rewrite(AlignedText* text) const override {
    if (!text->text().starts_with(' ')) text->Prepend(" ");
  }
  absl::Status Cut(const TextPiece& piece, Level* scratch,
                   std::vector<Match>* spans) const override {
    if (!pattern_.has_value()) {
      spans->push_back({0, piece.text.size()});
      return absl::OkStatus();
    }
    scratch->matches.clear();
    CHORUS_RETURN_IF_ERROR(pattern_->FindAll(piece.text, &scratch->pattern, &scratch->matches));
    CutAtMatches(piece.text.size(), scratch->matches, false, SplitBehavior::kIsolated, spans);
    return absl::OkStatus();
  }

 private:
  const std::optional<Pattern> pattern_;
  const bool add_prefix_space_;
};

enum class PrependScheme { kFirst, kNever, kAlways };

class MetaspaceStep : public Step {
 public:
  MetaspaceStep(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}

  bool rewrites() const override { return true; }
  bool needs_origin() const override { return scheme_ == PrependScheme::kFirst; }
  void Rewrite(AlignedText* text) const override {
    std::vector<Match> spaces;
    for (size_t at = 0; (at = text->text().find(' ', at)) != std::string::npos; ++at) {
      spaces.push_back({at, at + 1});
    }
    text->Replace(spaces, replacement_);
    const bool wanted = scheme_ == PrependScheme::kAlways ||
                        (scheme_ == PrependScheme::kFirst && text->piece().shift == 0);
    if (wanted && !text->text().starts_with(replacement_)) text->Prepend(replacement_);
  }
  absl::Status Cut(const TextPiece& piece, Level* scratch,
                   std::vector<Match>* spans) const override {
    scratch->matches.clear();
    for (size_t at = 0; split_; at += replacement_.size()) {
      if ((at = piece.text.find(replacement_, at)) == std::string_view::npos) break;
      scratch->matches.push_back({at, at + replacement_.size()});
    }
    CutAtMatches(piece.text.size(), scratch->matches, false, SplitBehavior::kMergedWithNext, spans);
    return absl::OkStatus();
  }

 private:
  const std::string replacement_;  // one character
  const PrependScheme scheme_;
  const bool split_;
};

absl::StatusOr<SplitBehavior> BehaviorFromName(const std::string& name, std::string_view owner) {
  static const auto* const behaviors = new std::unordered_map<std::string, SplitBehavior>{
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous},
  };
  if (const auto found = behaviors->find(name); found != behaviors->end()) return found->second;
  return absl::InvalidArgumentError(StrCat(owner, ": the behavior ", name, " is not known"));
}

StepOr SplitFromJson(const Json& json, std::string_view owner) {
  CHORUS_ASSIGN_OR_RETURN(Pattern pattern, PatternField(json, owner));
  CHORUS_ASSIGN_OR_RETURN(const std::string name, StringField(json, "behavior", owner));
  CHORUS_ASSIGN_OR_RETURN(const SplitBehavior behavior, BehaviorFromName(name, owner));
  CHORUS_ASSIGN_OR_RETURN(const bool invert, BoolField(json, "invert", owner));
  return std::make_unique<PatternStep>(std::move(pattern), invert, behavior);
}

StepOr ByteLevelFromJson(const Json& json, std::string_view owner) {
  CHORUS_ASSIGN_OR_RETURN(const bool add_prefix_space, BoolField(json, "add_prefix_space", owner));
  CHORUS_ASSIGN_OR_RETURN(const bool use_regex, BoolField(json, "use_regex", owner, true));
  std::optional<Pattern> pattern;
  if (use_regex) {
    CHORUS_ASSIGN_OR_RETURN(pattern, Pattern::Regex(kGpt2Expression));
  }
  return std::make_unique<ByteLevelStep>(std::move(pattern), add_prefix_space);
}

StepOr MetaspaceFromJson(const Json& json, std::string_view owner) {
  CHORUS_ASSIGN_OR_RETURN(std::string replacement, StringField(json, "replacement", owner));
  if (replacement.empty() || Utf8Length(replacement[0]) != replacement.size()) {
    return absl::InvalidArgumentError(
        StrCat(owner, ": \"replacement\" is \"", replacement, "\", want one character"));
  }
  CHORUS_ASSIGN_OR_RETURN(const bool split, BoolField(json, "split", owner, true));
  CHORUS_ASSIGN_OR_RETURN(const bool prefix, BoolField(json, "add_prefix_space", owner, true));
  std::string name = "always";
  if (FindField(json, "prepend_scheme") != nullptr) {
    CHORUS_ASSIGN_OR_RETURN(name, StringField(json, "prepend_scheme", owner));
  }
  const std::unordered_map<std::string, PrependScheme> schemes = {
      {"first", PrependScheme::kFirst},
      {"never", PrependScheme::kNever},
      {"always", PrependScheme::kAlways},
  };
  const auto scheme = schemes.find(name);
  if (scheme == schemes.end() || (!prefix && scheme->second != PrependScheme::kNever)) {
    return absl::InvalidArgumentError(
        StrCat(owner, ": \"prepend_scheme\" is \"", name, "\", want first, always or never",
               prefix ? "" : ", and never where \"add_prefix_space\" is false"));
  }
  return std::make_unique<MetaspaceStep>(std::move(replacement), scheme->second, split);
}

}  // namespace

void CutAtMatches(size_t size, const std::vector<Match>& matches, bool invert,
                  SplitBehavior behavior, std::vector<Match>* spans) {
  // The parts in order, a match or what lies between two; merging looks at the part before (at
  // the one behind for kMergedWithNext).
  const size_t first_span = spans->size();
  bool previous = false;
  const auto part = [&](size_t begin, size_t end, bool between) {
    const bool match = between == invert;
    const bool has_left = spans->size() > first_span;
    switch (behavior) {
      case SplitBehavior::kRemoved:
        if (!match) spans->push_back({begin, end});
        break;
      case SplitBehavior::kIsolated:
        spans->push_back({begin, end});
        break;
      case SplitBehavior::kContiguous:
        if (match == previous && has_left) {
          spans->back().end = end;
        } else {
          spans->push_back({begin, end});
        }
        break;
      case SplitBehavior::kMergedWithPrevious:
        if (match && !previous && has_left) {
          spans->back().end = end;
        } else {
          spans->push_back({begin, end});
        }
        break;
      case SplitBehavior::kMergedWithNext:
        // A match joins what follows unless that is a match, too.
        if (!match && previous && has_left) {
          spans->back().end = end;
        } else {
          spans->push_back({begin, end});
        }
        break;
    }
    previous = match;
  };
  size_t at = 0;
  for (const Match& match : matches) {
    if (match.begin > at) part(at, match.begin, true);
    part(match.begin, match.end, false);
    at = match.end;
  }
  if (at < size) part(at, size, true);
}

StepOr PreTokenizer::Step::FromJson(const Json& json) {
  CHORUS_ASSIGN_OR_RETURN(const std::string type, StringField(json, "type", "pre_tokenizer"));
  const std::string owner = StrCat("pre_tokenizer ", type);
  if (type == "Split") return SplitFromJson(json, owner);
  if (type == "ByteLevel") return ByteLevelFromJson(json, owner);
  if (type == "Metaspace") return MetaspaceFromJson(json, owner);
  if (type == "Whitespace") return WhitespaceStep::Build();
  if (type == "WhitespaceSplit") {
    return CharacterStep::Build(RustSpaces(), SplitBehavior::kRemoved);
  }
  if (type == "Digits") {
    CHORUS_ASSIGN_OR_RETURN(const bool individual, BoolField(json, "individual_digits", owner));
    return CharacterStep::Build(RustNumerics(),
                                individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  }
  if (type == "Punctuation") {
    std::string behavior = "Isolated";
    if (FindField(json, "behavior") != nullptr) {
      CHORUS_ASSIGN_OR_RETURN(behavior, StringField(json, "behavior", owner));
    }
    CHORUS_ASSIGN_OR_RETURN(const SplitBehavior split, BehaviorFromName(behavior, owner));
    return CharacterStep::Build(RustPunctuation(), split);
  }
  return UnsupportedComponent("pre_tokenizer", type);
}

}  // namespace chorus::engine
