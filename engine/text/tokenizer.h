// Text to token ids and back, as Hugging Face tokenizers does it for a tokenizer.json and
// SentencePiece for a tokenizer.model. Immutable after Load: any thread may call any const method.
#ifndef CHORUS_ENGINE_TEXT_TOKENIZER_H_
#define CHORUS_ENGINE_TEXT_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer_config.h"

namespace chorus::engine {

// A token by name; no id when the vocabulary lacks it.
struct NamedToken {
  std::string text;
  std::optional<int32_t> id;
};

// Those that tokenizer_config.json names, for templates and for the end of a sequence.
struct SpecialTokens {
  std::optional<NamedToken> bos, eos, unk, pad;
};

// Decodes one token after the other. One thread at a time; must not outlive its tokenizer.
class DecodeStream {
 public:
  virtual ~DecodeStream() = default;
  // Takes the next token, appends to `out` the text that no later token can change.
  virtual void Push(int32_t id, std::string* out) = 0;
  // The end: appends what was held back. The stream is used up.
  virtual void Finish(std::string* out) = 0;
};

struct EncodeOptions {
  bool add_special_tokens = true;       // around the text, as the model's post-processor says
  bool isolate_special_tokens = false;  // the text of special tokens inside stays text
  // Only that of special tokens which cover one of these bytes; ascending.
  std::span<const size_t> plain_bytes;
};

class Tokenizer {
 public:
  using EncodeOptions = engine::EncodeOptions;

  virtual ~Tokenizer() = default;

  // Reads tokenizer.json, else tokenizer.model, and tokenizer_config.json of a model directory.
  // NotFound without either file; InvalidArgument, naming the component, for one that is malformed
  // or not supported.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Load(const std::string& model_dir);

  // InvalidArgument with the byte offset where `text` is not UTF-8; ResourceExhausted when the
  // model's regular expressions run past their limits on it.
  virtual absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                                      const EncodeOptions& options) const = 0;
  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text) const {
    return Encode(text, EncodeOptions());
  }

  // Ids outside the vocabulary are dropped; bytes that are not UTF-8 become U+FFFD.
  std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens) const;
  virtual std::unique_ptr<DecodeStream> NewDecodeStream(bool skip_special_tokens) const = 0;

  // What the token stands for in the middle of a text, maybe half a character.
  virtual std::string TokenBytes(int32_t id) const = 0;
  // The token as the vocabulary writes it; nullopt for an id without one.
  virtual std::optional<std::string> TokenText(int32_t id) const = 0;
  virtual std::optional<int32_t> TokenId(std::string_view token) const = 0;
  virtual bool IsSpecial(int32_t id) const = 0;
  virtual int32_t size() const = 0;  // largest id + 1

  const SpecialTokens& special_tokens() const { return special_tokens_; }

 protected:
  void ResolveSpecialTokens(const TokenizerConfig& config);

 private:
  SpecialTokens special_tokens_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_TOKENIZER_H_
