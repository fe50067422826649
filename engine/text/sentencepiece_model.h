// Text to the ids of a SentencePiece model and the names of its pieces: normalisation, byte-pair
// encoding (Kudo and Richardson, 2018), fallback to bytes. Immutable; any thread may call.
#ifndef CHORUS_ENGINE_TEXT_SENTENCEPIECE_MODEL_H_
#define CHORUS_ENGINE_TEXT_SENTENCEPIECE_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/charsmap.h"
#include "engine/text/sentencepiece_file.h"
#include "engine/text/str_cat.h"
#include "engine/text/string_trie.h"

namespace chorus::engine {

class SentencePieceModel {
 public:
  using Kind = SentencePieceFile::Kind;

  // InvalidArgument when the file's replacement rules are malformed.
  static absl::StatusOr<SentencePieceModel> Create(SentencePieceFile file);

  // Appends the ids of `text`, as the library's Encode has them. REQUIRES: valid UTF-8, below 2^31
  // bytes when normalised.
  void Encode(std::string_view text, std::vector<int32_t>* ids) const;

  const SentencePieceFile& file() const { return *file_; }
  int32_t size() const { return static_cast<int32_t>(file_->pieces.size()); }
  // REQUIRES: 0 <= id < size().
  const SentencePieceFile::Piece& piece(int32_t id) const {
    return file_->pieces[static_cast<size_t>(id)];
  }
  // nullopt when no piece is `text`.
  std::optional<int32_t> Find(std::string_view text) const;

 private:
  class Merging;

  explicit SentencePieceModel(std::unique_ptr<const SentencePieceFile> file)
      : file_(std::move(file)) {}

  std::string Normalize(std::string_view text) const;
  // The text at the front of `rest` that is replaced as a whole, and what by.
  Charsmap::Rule NextRule(std::string_view rest) const;
  std::optional<int32_t> FindPlain(std::string_view text) const;
  void EmitPiece(std::string_view text, bool* after_unknown, std::vector<int32_t>* ids) const;

  std::unique_ptr<const SentencePieceFile> file_;  // stays in place: the maps borrow its texts
  Charsmap charsmap_;
  // What merging may build up (normal, user-defined and unused pieces), and the other pieces, which
  // win where a text is both.
  absl::flat_hash_map<std::string_view, int32_t, StringViewHash> plain_, reserved_;
  StringTrie user_defined_;  // never taken apart
  bool cuts_words_ = true;   // no piece crosses a word border
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_SENTENCEPIECE_MODEL_H_
