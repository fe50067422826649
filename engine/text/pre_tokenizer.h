// The "pre_tokenizer" of a tokenizer.json: cuts normalised text into the words that the model
// encodes one by one. Immutable; any thread may call with a scratch of its own.
#ifndef CHORUS_ENGINE_TEXT_PRE_TOKENIZER_H_
#define CHORUS_ENGINE_TEXT_PRE_TOKENIZER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/aligned_text.h"
#include "engine/text/json_fields.h"
#include "engine/text/pattern.h"

namespace chorus::engine {

class PreTokenizer {
 public:
  class Step;
  using WordSink = absl::FunctionRef<void(std::string_view word)>;
  // What a run may keep for the next one.
  struct Scratch {
    struct Level {
      Pattern::Scratch pattern;
      std::vector<Pattern::Match> matches;
      std::vector<Pattern::Match> spans;
    };
    std::vector<Level> levels;  // one per step
  };

  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // `json` null: the whole text is one word.
  static absl::StatusOr<PreTokenizer> FromJson(const Json* json);

  // Whether the last step spells bytes as the byte alphabet. Words then come unspelled, as raw
  // bytes, and the model has to read its vocabulary that way.
  bool yields_raw_bytes() const { return yields_raw_bytes_; }
  // Whether the result depends on where in the input a piece began.
  bool needs_origin() const { return needs_origin_; }

  // Calls `sink` for each word in order. ResourceExhausted when a regular expression runs past
  // its limits.
  absl::Status Split(const TextPiece& piece, Scratch* scratch, WordSink sink) const;

 private:
  PreTokenizer();
  // Steps from `index` on.
  absl::Status Run(size_t index, const TextPiece& piece, Scratch* scratch, WordSink sink) const;
  absl::Status CutAndGoOn(size_t index, const TextPiece& piece, Scratch* scratch,
                          WordSink sink) const;

  std::vector<std::unique_ptr<const Step>> steps_;
  bool yields_raw_bytes_ = false;
  bool needs_origin_ = false;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_PRE_TOKENIZER_H_
