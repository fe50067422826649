#include "engine/text/sentencepiece_decoder.h"

#include <algorithm>

#include "engine/text/utf8.h"
#include "engine/text/word_border.h"

namespace chorus::engine {

void SentencePieceDecoder::Emit(std::string_view text, std::string* out) {
  if (text.empty()) return;
  at_start_ = false;
  out->append(text);
}

void SentencePieceDecoder::ReleaseBytes(bool all, std::string* out) {
  while (!held_.empty()) {
    const size_t valid = std::min(FindInvalidUtf8(held_), held_.size());
    Emit(std::string_view(held_).substr(0, valid), out);
    held_.erase(0, valid);
    if (held_.empty() || (!all && IncompleteUtf8Suffix(held_) == held_.size())) return;
    Emit(kReplacementCharacter, out);
    held_.erase(0, 1);
  }
}

void SentencePieceDecoder::PushText(std::string_view text, std::string* out) {
  ReleaseBytes(/*all=*/true, out);
  border_seen_ = false;
  Emit(text, out);
}

void SentencePieceDecoder::Push(int32_t id, std::string* out) {
  const SentencePieceFile::Piece& piece = model_->piece(id);
  if (piece.kind == SentencePieceFile::Kind::kByte) {
    held_.push_back(static_cast<char>(std::stoi(piece.text.substr(3, 2), nullptr, 16)));
    return ReleaseBytes(/*all=*/false, out);
  }
  ReleaseBytes(/*all=*/true, out);
  if (border_seen_) at_start_ = false;
  border_seen_ = false;
  std::string_view text = piece.text;
  if (at_start_ && strips_blank_ && text.starts_with(kWordBorder)) {
    text.remove_prefix(kWordBorder.size());
    border_seen_ = !model_->file().remove_extra_whitespaces;  // else all of them go
  }
  Emit(BlanksForBorders(text), out);
}

}  // namespace chorus::engine
