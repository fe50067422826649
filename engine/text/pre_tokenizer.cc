#include "engine/text/pre_tokenizer.h"

#include <utility>

#include "engine/text/pre_tokenizer_step.h"
#include "kernels/status_macros.h"

namespace chorus::engine {

PreTokenizer::PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

absl::StatusOr<PreTokenizer> PreTokenizer::FromJson(const Json* json) {
  CHORUS_ASSIGN_OR_RETURN(const std::vector<const Json*> leaves,
                          FlattenSequence(json, "pretokenizers", "pre_tokenizer"));
  PreTokenizer result;
  for (const Json* const leaf : leaves) {
    CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<const Step> step, Step::FromJson(*leaf));
    result.needs_origin_ |= step->needs_origin();
    result.steps_.push_back(std::move(step));
  }
  result.yields_raw_bytes_ = !result.steps_.empty() && result.steps_.back()->spells_bytes();
  return result;
}

absl::Status PreTokenizer::Split(const TextPiece& piece, Scratch* scratch, WordSink sink) const {
  scratch->levels.resize(steps_.size());
  return Run(0, piece, scratch, sink);
}

absl::Status PreTokenizer::Run(size_t index, const TextPiece& piece, Scratch* scratch,
                               WordSink sink) const {
  if (piece.text.empty()) return absl::OkStatus();
  if (index == steps_.size()) {
    sink(piece.text);
    return absl::OkStatus();
  }
  const Step& step = *steps_[index];
  if (step.rewrites()) {
    AlignedText changed(piece);
    step.Rewrite(&changed);
    return CutAndGoOn(index, changed.piece(), scratch, sink);
  }
  return CutAndGoOn(index, piece, scratch, sink);
}

absl::Status PreTokenizer::CutAndGoOn(size_t index, const TextPiece& piece, Scratch* scratch,
                                      WordSink sink) const {
  const Step& step = *steps_[index];
  Scratch::Level& level = scratch->levels[index];
  level.spans.clear();
  CHORUS_RETURN_IF_ERROR(step.Cut(piece, &level, &level.spans));
  const bool spells = step.spells_bytes() && index + 1 < steps_.size();
  // Deeper steps have levels of their own, so the spans stay as they are.
  for (const Pattern::Match& span : level.spans) {
    const TextPiece part = piece.Slice(span.begin, span.end);
    if (spells) {
      AlignedText spelled(part);
      spelled.SpellBytes();
      CHORUS_RETURN_IF_ERROR(Run(index + 1, spelled.piece(), scratch, sink));
    } else {
      CHORUS_RETURN_IF_ERROR(Run(index + 1, part, scratch, sink));
    }
  }
  return absl::OkStatus();
}

}  // namespace chorus::engine
