// A Tokenizer read from a tokenizer.json: added tokens are cut out, the rest is normalised, cut
// into words and encoded, special tokens go around it. Truncation and padding in the file are
// for training and are left out.
#ifndef CHORUS_ENGINE_TEXT_JSON_TOKENIZER_H_
#define CHORUS_ENGINE_TEXT_JSON_TOKENIZER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/added_vocabulary.h"
#include "engine/text/bpe_model.h"
#include "engine/text/post_processor.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/text_normalizer.h"
#include "engine/text/token_decoder.h"
#include "engine/text/tokenizer.h"

namespace chorus::engine {

class JsonTokenizer : public Tokenizer {
 public:
  // InvalidArgument, naming the component, when `bytes` is malformed, asks for something that is
  // not supported, or contradicts `config`.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromBytes(const std::string& bytes,
                                                              const TokenizerConfig& config);

  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                              const EncodeOptions& options) const override;
  std::unique_ptr<DecodeStream> NewDecodeStream(bool skip_special_tokens) const override;
  std::string TokenBytes(int32_t id) const override;
  std::optional<std::string> TokenText(int32_t id) const override;
  std::optional<int32_t> TokenId(std::string_view token) const override;
  bool IsSpecial(int32_t id) const override { return added_.IsSpecial(id); }
  int32_t size() const override { return size_; }

 private:
  struct Scratch;
  class Stream;

  JsonTokenizer(TextNormalizer normalizer, PreTokenizer pre_tokenizer, BpeModel model,
                AddedVocabulary added, PostProcessor post_processor, TokenDecoder decoder);
  absl::Status CheckAgainst(const TokenizerConfig& config) const;
  absl::Status EncodePart(const TextPiece& part, bool isolate_special, Scratch* scratch,
                          std::vector<int32_t>* ids) const;
  // As the decoder sees it; null for an id without a token.
  const std::string* DecoderText(int32_t id) const;

  TextNormalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  BpeModel model_;
  AddedVocabulary added_;
  PostProcessor post_processor_;
  TokenDecoder decoder_;
  int32_t size_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_JSON_TOKENIZER_H_
