// The stages of a TokenDecoder. Between two stages runs a sequence of strings; a string may come
// in fragments, so that a stage which joins everything (Fuse, ByteLevel) need not wait for the end.
#ifndef CHORUS_ENGINE_TEXT_DECODER_STAGE_H_
#define CHORUS_ENGINE_TEXT_DECODER_STAGE_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/json_fields.h"

namespace chorus::engine {

class DecoderStageState {
 public:
  virtual ~DecoderStageState() = default;

  // A piece of the current string, and its end; then, once, the end of the sequence.
  virtual void Fragment(std::string_view text) = 0;
  virtual void EndString() = 0;
  virtual void EndSequence() { next_->EndSequence(); }

  void set_next(DecoderStageState* next) { next_ = next; }

 protected:
  void EmitString(std::string_view text) {
    next_->Fragment(text);
    next_->EndString();
  }
  DecoderStageState* next_ = nullptr;
};

class DecoderStage {
 public:
  virtual ~DecoderStage() = default;
  virtual std::unique_ptr<DecoderStageState> NewState() const = 0;
  // What the stage makes of the bytes of a token in the middle of a text.
  virtual std::string TokenBytes(std::string text) const { return text; }

  // InvalidArgument, naming it, for a type that is not supported.
  static absl::StatusOr<std::unique_ptr<const DecoderStage>> FromJson(const Json& json);
  // Strings with blanks between them: Hugging Face without a decoder.
  static std::unique_ptr<const DecoderStage> JoinWithBlanks();
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_DECODER_STAGE_H_
