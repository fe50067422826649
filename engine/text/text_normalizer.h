// The "normalizer" of a tokenizer.json, as Hugging Face applies it. Immutable; any thread may call
// with a scratch of its own.
#ifndef CHORUS_ENGINE_TEXT_TEXT_NORMALIZER_H_
#define CHORUS_ENGINE_TEXT_TEXT_NORMALIZER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/aligned_text.h"
#include "engine/text/json_fields.h"
#include "engine/text/pattern.h"

namespace chorus::engine {

class TextNormalizer {
 public:
  // `json` null: no normalizer. InvalidArgument, naming it, for a type that is not supported.
  static absl::StatusOr<TextNormalizer> FromJson(const Json* json);

  bool empty() const { return steps_.empty(); }

  // ResourceExhausted when a regular expression runs past its limits.
  absl::Status Apply(Pattern::Scratch* scratch, AlignedText* text) const;

 private:
  enum class Kind { kUnicode, kLowercase, kStripAccents, kStrip, kReplace, kPrepend, kByteLevel };
  struct Step {
    Kind kind;
    NormalForm form = NormalForm::kNfc;
    bool strip_left = false, strip_right = false;
    Pattern pattern = Pattern::Literal("");
    std::string content;  // of kReplace and kPrepend
  };

  static absl::StatusOr<Step> StepFromJson(const Json& json);
  static absl::Status ApplyStep(const Step& step, Pattern::Scratch* scratch, AlignedText* text);

  std::vector<Step> steps_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_TEXT_NORMALIZER_H_
