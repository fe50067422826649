#include "engine/text/text_normalizer.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "engine/text/code_set.h"
#include "engine/text/json_pattern.h"
#include "engine/text/str_cat.h"
#include "kernels/status_macros.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {
namespace {

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

using Characters = std::vector<ChangedCharacter>;

void Strip(bool left, bool right, AlignedText* text) {
  const Characters all = text->Characters();
  const auto is_space = [](const ChangedCharacter& c) {
    return RustSpaces().Contains(c.code_point);
  };
  auto begin = all.begin(), end = all.end();
  if (left) begin = std::find_if_not(begin, end, is_space);
  if (right) {
    end = std::find_if_not(std::make_reverse_iterator(end), std::make_reverse_iterator(begin),
                           is_space)
              .base();
  }
  if (begin == all.begin() && end == all.end()) return;
  text->Transform(Characters(begin, end), static_cast<size_t>(begin - all.begin()));
}

void StripAccents(AlignedText* text) {
  Characters kept;
  size_t removed = 0;  // before the first that is kept
  for (const ChangedCharacter& c : text->Characters()) {
    if (!RustMarks().Contains(c.code_point)) {
      kept.push_back(c);
    } else if (kept.empty()) {
      ++removed;
    } else {
      --kept.back().change;
    }
  }
  text->Transform(kept, removed);
}

void Lowercase(AlignedText* text) {
  Characters result;
  for (const ChangedCharacter& c : text->Characters()) AppendLowercase(c.code_point, &result);
  text->Transform(result);
}

}  // namespace

absl::StatusOr<TextNormalizer> TextNormalizer::FromJson(const Json* json) {
  CHORUS_ASSIGN_OR_RETURN(const std::vector<const Json*> leaves,
                          FlattenSequence(json, "normalizers", "normalizer"));
  TextNormalizer result;
  for (const Json* const leaf : leaves) {
    CHORUS_ASSIGN_OR_RETURN(Step step, StepFromJson(*leaf));
    result.steps_.push_back(std::move(step));
  }
  return result;
}

absl::StatusOr<TextNormalizer::Step> TextNormalizer::StepFromJson(const Json& json) {
  static const auto* const forms = new std::unordered_map<std::string, NormalForm>{
      {"NFC", NormalForm::kNfc},
      {"NFD", NormalForm::kNfd},
      {"NFKC", NormalForm::kNfkc},
      {"NFKD", NormalForm::kNfkd},
  };
  CHORUS_ASSIGN_OR_RETURN(const std::string type, StringField(json, "type", "normalizer"));
  const std::string owner = StrCat("normalizer ", type);
  Step step{Kind::kUnicode};
  if (const auto form = forms->find(type); form != forms->end()) {
    step.form = form->second;
  } else if (type == "Lowercase") {
    step.kind = Kind::kLowercase;
  } else if (type == "StripAccents") {
    step.kind = Kind::kStripAccents;
  } else if (type == "ByteLevel") {
    step.kind = Kind::kByteLevel;
  } else if (type == "Strip") {
    step.kind = Kind::kStrip;
    CHORUS_ASSIGN_OR_RETURN(step.strip_left, BoolField(json, "strip_left", owner));
    CHORUS_ASSIGN_OR_RETURN(step.strip_right, BoolField(json, "strip_right", owner));
  } else if (type == "Prepend") {
    step.kind = Kind::kPrepend;
    CHORUS_ASSIGN_OR_RETURN(step.content, StringField(json, "prepend", owner));
  } else if (type == "Replace") {
    step.kind = Kind::kReplace;
    CHORUS_ASSIGN_OR_RETURN(step.pattern, PatternField(json, owner));
    CHORUS_ASSIGN_OR_RETURN(step.content, StringField(json, "content", owner));
  } else {
    return UnsupportedComponent("normalizer", type);
  }
  return step;
}

absl::Status TextNormalizer::Apply(Pattern::Scratch* scratch, AlignedText* text) const {
  for (const Step& step : steps_) CHORUS_RETURN_IF_ERROR(ApplyStep(step, scratch, text));
  return absl::OkStatus();
}

absl::Status TextNormalizer::ApplyStep(const Step& step, Pattern::Scratch* scratch,
                                       AlignedText* text) {
  switch (step.kind) {
    case Kind::kUnicode:
      if (!IsAscii(text->text())) text->Transform(Normalize(text->Characters(), step.form));
      break;
    case Kind::kLowercase:
      Lowercase(text);
      break;
    case Kind::kStripAccents:
      if (!IsAscii(text->text())) StripAccents(text);
      break;
    case Kind::kStrip:
      Strip(step.strip_left, step.strip_right, text);
      break;
    case Kind::kReplace: {
      std::vector<Pattern::Match> matches;
      CHORUS_RETURN_IF_ERROR(step.pattern.FindAll(text->text(), scratch, &matches));
      text->Replace(matches, step.content);
      break;
    }
    case Kind::kPrepend:
      text->Prepend(step.content);
      break;
    case Kind::kByteLevel:
      text->SpellBytes();
      break;
  }
  return absl::OkStatus();
}

}  // namespace chorus::engine
