// A Tokenizer read from a tokenizer.model and tokenizer_config.json, with the conventions of
// transformers' LlamaTokenizer: added tokens are cut out of the text, the parts between them are
// encoded by the SentencePiece model, each with a blank in front (legacy) or only the first.
#ifndef CHORUS_ENGINE_TEXT_SENTENCEPIECE_TOKENIZER_H_
#define CHORUS_ENGINE_TEXT_SENTENCEPIECE_TOKENIZER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/text/sentencepiece_model.h"
#include "engine/text/string_trie.h"
#include "engine/text/tokenizer.h"

namespace chorus::engine {

class SentencePieceTokenizer : public Tokenizer {
 public:
  // InvalidArgument, naming it, for a field or piece that is malformed or not supported, and for a
  // tokenizer_class with conventions of its own.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromBytes(std::string_view bytes,
                                                              const TokenizerConfig& config);

  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                              const EncodeOptions& options) const override;
  std::unique_ptr<DecodeStream> NewDecodeStream(bool skip_special_tokens) const override;
  std::string TokenBytes(int32_t id) const override;
  std::optional<std::string> TokenText(int32_t id) const override;
  std::optional<int32_t> TokenId(std::string_view token) const override;
  bool IsSpecial(int32_t id) const override;
  int32_t size() const override { return size_; }

 private:
  class Stream;
  struct Token {
    std::string content;
    bool special, strip_left, strip_right;
    bool named;  // by the config, as bos_token or so
  };
  // A part of the text: a token when id >= 0.
  struct Part {
    std::string_view text;
    int32_t id;
  };

  SentencePieceTokenizer(SentencePieceModel model, const TokenizerConfig& config);
  absl::Status AddTokens(const TokenizerConfig& config);
  absl::Status AddNamedToken(const std::string& content);
  std::vector<Part> Split(std::string_view text, bool isolate_special) const;
  // A part that is none of added_, with or without a blank in front.
  void EncodePart(std::string_view text, std::vector<int32_t>* ids) const;
  const Token* Added(int32_t id) const;
  bool IsPiece(int32_t id) const { return id >= 0 && id < model_.size(); }

  SentencePieceModel model_;
  bool legacy_, add_prefix_space_;
  bool strips_blank_;                 // from the front of decoded text
  std::optional<int32_t> bos_, eos_;  // around each text
  absl::flat_hash_map<int32_t, Token> added_;
  StringTrie trie_;  // of added_
  StringMap<int32_t> ids_;
  std::vector<int32_t> unknown_text_;  // ids of the unknown token's name as plain text
  std::string unknown_name_;
  int32_t size_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_SENTENCEPIECE_TOKENIZER_H_
