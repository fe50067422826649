// One step of a PreTokenizer: changes a piece if it must, then says where to cut it.
#ifndef CHORUS_ENGINE_TEXT_PRE_TOKENIZER_STEP_H_
#define CHORUS_ENGINE_TEXT_PRE_TOKENIZER_STEP_H_

#include <memory>
#include <string>
#include <vector>

#include "engine/text/pre_tokenizer.h"

namespace chorus::engine {

// What happens to a match: Hugging Face's SplitDelimiterBehavior.
enum class SplitBehavior {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous,
};

// The parts of a text of `size` bytes that are left, by its matches (by what lies between them
// when `invert`), appended to `spans`.
void CutAtMatches(size_t size, const std::vector<Pattern::Match>& matches, bool invert,
                  SplitBehavior behavior, std::vector<Pattern::Match>* spans);

class PreTokenizer::Step {
 public:
  virtual ~Step() = default;
  // Whether Rewrite may do something.
  virtual bool rewrites() const { return false; }
  virtual void Rewrite(AlignedText* /*text*/) const {}
  // Appends the spans of `piece` that live on, in order; empty ones are dropped by the caller.
  virtual absl::Status Cut(const TextPiece& piece, Scratch::Level* scratch,
                           std::vector<Pattern::Match>* spans) const = 0;
  // Whether what is left is then spelled in the byte alphabet.
  virtual bool spells_bytes() const { return false; }
  virtual bool needs_origin() const { return false; }

  // InvalidArgument, naming it, for a type that is not supported.
  static absl::StatusOr<std::unique_ptr<const Step>> FromJson(const Json& json);
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_PRE_TOKENIZER_STEP_H_
