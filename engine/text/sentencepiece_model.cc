#include "engine/text/sentencepiece_model.h"

#include <algorithm>
#include <utility>

#include "engine/text/utf8.h"
#include "engine/text/word_border.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr int32_t kNone = -1;

}  // namespace

absl::StatusOr<SentencePieceModel> SentencePieceModel::Create(SentencePieceFile file) {
  SentencePieceModel model(std::make_unique<const SentencePieceFile>(std::move(file)));
  CHORUS_ASSIGN_OR_RETURN(model.charsmap_, Charsmap::Parse(model.file().precompiled_charsmap));
  for (int32_t id = 0; id < model.size(); ++id) {
    const SentencePieceFile::Piece& piece = model.piece(id);
    const bool plain = piece.kind == Kind::kNormal || piece.kind == Kind::kUserDefined ||
                       piece.kind == Kind::kUnused;
    (plain ? model.plain_ : model.reserved_).emplace(piece.text, id);
    if (piece.kind == Kind::kUserDefined) model.user_defined_.Add(piece.text, id);
    if (plain && HasInnerBorder(piece.text)) model.cuts_words_ = false;
  }
  return model;
}

std::optional<int32_t> SentencePieceModel::FindPlain(std::string_view text) const {
  const auto found = plain_.find(text);
  if (found == plain_.end()) return std::nullopt;
  return found->second;
}

std::optional<int32_t> SentencePieceModel::Find(std::string_view text) const {
  const auto found = reserved_.find(text);
  if (found != reserved_.end()) return found->second;
  return FindPlain(text);
}

Charsmap::Rule SentencePieceModel::NextRule(std::string_view rest) const {
  if (const std::optional<StringTrie::Match> match = user_defined_.LongestAt(rest, 0)) {
    return {match->end, rest.substr(0, match->end)};
  }
  if (const std::optional<Charsmap::Rule> rule = charsmap_.Find(rest)) return *rule;
  const size_t length = Utf8Length(rest[0]);
  return {length, rest.substr(0, length)};
}

std::string SentencePieceModel::Normalize(std::string_view text) const {
  std::string result;
  const bool remove = file_->remove_extra_whitespaces;
  while (remove && !text.empty()) {
    const Charsmap::Rule rule = NextRule(text);
    if (rule.replacement != " ") break;
    text.remove_prefix(rule.length);
  }
  if (text.empty()) return result;
  result.reserve(text.size() + text.size() / 4 + kWordBorder.size());
  if (file_->add_dummy_prefix) result += kWordBorder;
  for (bool after_space = remove; !text.empty();) {
    const Charsmap::Rule rule = NextRule(text);
    text.remove_prefix(rule.length);
    std::string_view part = rule.replacement;
    while (after_space && part.starts_with(' ')) part.remove_prefix(1);
    for (const char byte : part) {
      if (byte == ' ') {
        result += kWordBorder;
      } else {
        result += byte;
      }
    }
    if (!part.empty()) after_space = remove && part.ends_with(' ');
  }
  while (remove && result.ends_with(kWordBorder)) result.resize(result.size() - kWordBorder.size());
  return result;
}

// Symbols of one normalised text: at first its characters, then what they merge to. Always the pair
// whose piece has the best score, the leftmost among equals.
class SentencePieceModel::Merging {
 public:
  Merging(const SentencePieceModel& model, std::string_view text) : model_(model), text_(text) {
    for (size_t at = 0; at < text.size();) {
      const auto place = static_cast<int32_t>(symbols_.size());
      const std::optional<StringTrie::Match> fixed = model.user_defined_.LongestAt(text, at);
      const size_t length = fixed.has_value() ? fixed->end - at : Utf8Length(text[at]);
      symbols_.push_back({at, length, place - 1, place + 1, fixed.has_value()});
      at += length;
    }
    if (!symbols_.empty()) symbols_.back().next = kNone;
  }

  void Run() {
    for (size_t i = 0; i + 1 < symbols_.size(); ++i) {
      Offer(static_cast<int32_t>(i), static_cast<int32_t>(i) + 1);
    }
    while (!pairs_.empty()) {
      std::pop_heap(pairs_.begin(), pairs_.end(), Worse);
      const Pair best = pairs_.back();
      pairs_.pop_back();
      Symbol& left = symbols_[static_cast<size_t>(best.left)];
      Symbol& right = symbols_[static_cast<size_t>(best.right)];
      const bool current =
          left.length > 0 && right.length > 0 && left.length + right.length == best.length;
      if (!current) continue;
      left.length = best.length;
      left.next = right.next;
      right.length = 0;
      if (right.next != kNone) symbols_[static_cast<size_t>(right.next)].previous = best.left;
      Offer(left.previous, best.left);
      Offer(best.left, left.next);
    }
  }

  // Calls `take` with each symbol's text, unused pieces taken apart again.
  template <class Take>
  void ForEachSymbol(Take take) const {
    for (int32_t i = symbols_.empty() ? kNone : 0; i != kNone;
         i = symbols_[static_cast<size_t>(i)].next) {
      const Symbol& symbol = symbols_[static_cast<size_t>(i)];
      Resegment(text_.substr(symbol.begin, symbol.length), take);
    }
  }

 private:
  struct Symbol {
    size_t begin, length;  // bytes; length 0 once it was merged into its left
    int32_t previous, next;
    bool fixed;  // a user-defined piece: merges with nothing
  };
  struct Pair {
    float score;
    int32_t left, right;
    size_t length;  // of both when it was offered
  };
  static bool Worse(const Pair& a, const Pair& b) {
    return a.score < b.score || (a.score == b.score && a.left > b.left);
  }

  void Offer(int32_t left_place, int32_t right_place) {
    if (left_place == kNone || right_place == kNone) return;
    const Symbol& left = symbols_[static_cast<size_t>(left_place)];
    const Symbol& right = symbols_[static_cast<size_t>(right_place)];
    if (left.fixed || right.fixed) return;
    const size_t length = left.length + right.length;
    const std::string_view merged = text_.substr(left.begin, length);
    const std::optional<int32_t> id = model_.FindPlain(merged);
    if (!id.has_value()) return;
    const SentencePieceFile::Piece& piece = model_.piece(*id);
    pairs_.push_back({piece.score, left_place, right_place, length});
    std::push_heap(pairs_.begin(), pairs_.end(), Worse);
    if (piece.kind == Kind::kUnused) parts_[merged] = left.length;
  }

  template <class Take>
  void Resegment(std::string_view text, Take& take) const {
    std::vector<std::string_view> stack = {text};
    while (!stack.empty()) {
      const std::string_view top = stack.back();
      stack.pop_back();
      const std::optional<int32_t> id = model_.Find(top);
      const auto cut = id.has_value() && model_.piece(*id).kind == Kind::kUnused ? parts_.find(top)
                                                                                 : parts_.end();
      if (cut == parts_.end()) {
        take(top);
      } else {
        stack.push_back(top.substr(cut->second));
        stack.push_back(top.substr(0, cut->second));
      }
    }
  }

  const SentencePieceModel& model_;
  const std::string_view text_;
  std::vector<Symbol> symbols_;
  std::vector<Pair> pairs_;  // a heap
  // Where an unused piece was put together last: the length of its left part.
  absl::flat_hash_map<std::string_view, size_t, StringViewHash> parts_;
};

void SentencePieceModel::EmitPiece(std::string_view text, bool* after_unknown,
                                   std::vector<int32_t>* ids) const {
  const int32_t id = Find(text).value_or(file_->unknown_id);
  const bool unknown = piece(id).kind == Kind::kUnknown;
  if (unknown && !file_->byte_ids.empty()) {
    for (const char byte : text) ids->push_back(file_->byte_ids[static_cast<uint8_t>(byte)]);
  } else if (!unknown || !*after_unknown) {  // a run of unknown pieces is one
    ids->push_back(id);
  }
  *after_unknown = unknown;
}

void SentencePieceModel::Encode(std::string_view text, std::vector<int32_t>* ids) const {
  const std::string normalized = Normalize(text);
  bool after_unknown = false;
  const auto encode = [&](std::string_view word) {
    Merging merging(*this, word);
    merging.Run();
    merging.ForEachSymbol(
        [&](std::string_view piece_text) { EmitPiece(piece_text, &after_unknown, ids); });
  };
  if (cuts_words_) {
    ForEachWord(normalized, encode);
  } else {
    encode(normalized);
  }
}

}  // namespace chorus::engine
