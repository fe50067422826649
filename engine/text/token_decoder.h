// The "decoder" of a tokenizer.json: turns the strings of tokens back into text. It is a chain of
// stages that pass on text as soon as no later token can change it, so that a stream and a whole
// sequence decode by the same code and to the same text. Immutable; any thread may call; a Stream
// belongs to one thread and must not outlive its decoder.
#ifndef CHORUS_ENGINE_TEXT_TOKEN_DECODER_H_
#define CHORUS_ENGINE_TEXT_TOKEN_DECODER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/json_fields.h"

namespace chorus::engine {

class DecoderStage;       // one stage, immutable
class DecoderStageState;  // what it holds back in one stream

class TokenDecoder {
 public:
  class Stream {
   public:
    Stream(Stream&&) noexcept;
    Stream& operator=(Stream&&) noexcept;
    ~Stream();

    // Takes the next token, appends to `out` what is final now.
    void Push(std::string_view token, std::string* out);
    // The end: appends what was held back. The stream is used up.
    void Finish(std::string* out);

   private:
    friend class TokenDecoder;
    Stream();
    std::vector<std::unique_ptr<DecoderStageState>> states_;
  };

  TokenDecoder(TokenDecoder&&) noexcept;
  TokenDecoder& operator=(TokenDecoder&&) noexcept;
  ~TokenDecoder();

  // `json` null: tokens are joined by blanks. InvalidArgument, naming it, for a type that is not
  // supported.
  static absl::StatusOr<TokenDecoder> FromJson(const Json* json);

  Stream NewStream() const;
  // The bytes that the token stands for in the middle of a text; maybe half a character.
  std::string TokenBytes(std::string_view token) const;

 private:
  TokenDecoder();
  std::vector<std::unique_ptr<const DecoderStage>> stages_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_TOKEN_DECODER_H_
