#include "engine/text/sentencepiece_tokenizer.h"

#include <algorithm>
#include <utility>

#include "engine/text/code_set.h"
#include "engine/text/sentencepiece_decoder.h"
#include "engine/text/utf8.h"
#include "engine/text/word_border.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 28;  // normalising may make some of it longer
constexpr int32_t kMaxId = (1 << 24) - 1;

// What Python's str.strip takes away.
bool IsPythonSpace(char32_t c) { return (c >= 0x1C && c <= 0x1F) || RustSpaces().Contains(c); }

std::string_view WithoutSpacesInFront(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (!IsPythonSpace(DecodeUtf8(text, &at))) return text.substr(begin);
  }
  return {};
}

std::string_view WithoutSpacesBehind(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size();) {
    if (!IsPythonSpace(DecodeUtf8(text, &at))) end = at;
  }
  return text.substr(0, end);
}

absl::Status CheckClass(const TokenizerConfig& config) {
  const std::string name = config.tokenizer_class.value_or("LlamaTokenizer");
  for (const char* const known :
       {"LlamaTokenizer", "LlamaTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"}) {
    if (name == known) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(StrCat("tokenizer_class: ", name,
                                           " is not supported with a tokenizer.model (want ",
                                           "LlamaTokenizer, or a tokenizer.json)"));
}

}  // namespace

class SentencePieceTokenizer::Stream : public DecodeStream {
 public:
  Stream(const SentencePieceTokenizer* tokenizer, bool skip_special_tokens)
      : tokenizer_(tokenizer),
        skip_special_tokens_(skip_special_tokens),
        decoder_(&tokenizer->model_, tokenizer->strips_blank_) {}

  void Push(int32_t id, std::string* out) override {
    const Token* const added = tokenizer_->Added(id);
    if (added == nullptr && !tokenizer_->IsPiece(id)) return;
    if (tokenizer_->IsSpecial(id)) {
      if (!skip_special_tokens_) decoder_.PushText(*tokenizer_->TokenText(id), out);
    } else if (added != nullptr) {
      decoder_.PushText(added->content, out);
    } else {
      decoder_.Push(id, out);
    }
  }
  void Finish(std::string* out) override { decoder_.Finish(out); }

 private:
  const SentencePieceTokenizer* const tokenizer_;
  const bool skip_special_tokens_;
  SentencePieceDecoder decoder_;
};

SentencePieceTokenizer::SentencePieceTokenizer(SentencePieceModel model,
                                               const TokenizerConfig& config)
    : model_(std::move(model)),
      legacy_(config.legacy),
      add_prefix_space_(config.add_prefix_space),
      strips_blank_(model_.file().remove_extra_whitespaces ||
                    (legacy_ ? model_.file().add_dummy_prefix : add_prefix_space_)),
      unknown_name_(config.unk.value_or(model_.piece(model_.file().unknown_id).text)),
      size_(model_.size()) {
  model_.Encode(unknown_name_, &unknown_text_);
}

absl::StatusOr<std::unique_ptr<Tokenizer>> SentencePieceTokenizer::FromBytes(
    std::string_view bytes, const TokenizerConfig& config) {
  CHORUS_RETURN_IF_ERROR(CheckClass(config));
  CHORUS_ASSIGN_OR_RETURN(SentencePieceFile file, SentencePieceFile::Parse(bytes));
  TokenizerConfig named = config;
  if (!named.bos.has_value()) named.bos = file.bos;
  if (!named.eos.has_value()) named.eos = file.eos;
  if (!named.unk.has_value()) named.unk = file.pieces[static_cast<size_t>(file.unknown_id)].text;
  if (!config.legacy) file.add_dummy_prefix = false;  // done by hand, for the whole text
  CHORUS_ASSIGN_OR_RETURN(SentencePieceModel model, SentencePieceModel::Create(std::move(file)));
  std::unique_ptr<SentencePieceTokenizer> tokenizer(
      new SentencePieceTokenizer(std::move(model), named));
  CHORUS_RETURN_IF_ERROR(tokenizer->AddTokens(named));
  const auto around = [&](bool wanted, const std::string& name, std::optional<int32_t>* id) {
    *id = wanted ? tokenizer->TokenId(name) : std::nullopt;
    if (!wanted || id->has_value()) return absl::OkStatus();
    return absl::InvalidArgumentError(StrCat("the token \"", name, "\" is to be added to each ",
                                             "text, but the vocabulary lacks it"));
  };
  CHORUS_RETURN_IF_ERROR(around(config.add_bos.value_or(true), *named.bos, &tokenizer->bos_));
  CHORUS_RETURN_IF_ERROR(around(config.add_eos.value_or(false), *named.eos, &tokenizer->eos_));
  tokenizer->ResolveSpecialTokens(named);
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

absl::Status SentencePieceTokenizer::AddTokens(const TokenizerConfig& config) {
  for (const TokenizerConfig::AddedToken& token : config.added_tokens) {
    const std::string owner = StrCat("added token ", token.id, " \"", token.content, "\"");
    if (token.id > kMaxId) {
      return absl::InvalidArgumentError(StrCat(owner, ": want an id of at most ", kMaxId));
    }
    if (token.single_word) {
      return absl::InvalidArgumentError(StrCat(owner, ": single_word is not supported"));
    }
    if (!trie_.Add(token.content, token.id)) {
      return absl::InvalidArgumentError(StrCat(owner, ": is empty or there twice"));
    }
    added_[token.id] = {token.content, token.special, token.strip_left, token.strip_right, false};
    ids_[token.content] = token.id;
    size_ = std::max(size_, token.id + 1);
  }
  for (const auto& name : {config.bos, config.eos, config.unk, config.pad}) {
    if (name.has_value()) CHORUS_RETURN_IF_ERROR(AddNamedToken(*name));
  }
  for (const std::string& name : config.additional_special) {
    CHORUS_RETURN_IF_ERROR(AddNamedToken(name));
  }
  return absl::OkStatus();
}

// A token that is special because the config names it. One that the vocabulary lacks gets no id:
// the model has no embedding for it.
absl::Status SentencePieceTokenizer::AddNamedToken(const std::string& content) {
  const std::optional<int32_t> id = TokenId(content);
  if (content.empty() || !id.has_value()) return absl::OkStatus();
  const auto [entry, is_new] = added_.try_emplace(*id, Token{content, true, false, false, true});
  entry->second.special = entry->second.named = true;
  if (is_new) {
    trie_.Add(content, *id);
    ids_[content] = *id;
  }
  return absl::OkStatus();
}

const SentencePieceTokenizer::Token* SentencePieceTokenizer::Added(int32_t id) const {
  const auto found = added_.find(id);
  return found == added_.end() ? nullptr : &found->second;
}

std::vector<SentencePieceTokenizer::Part> SentencePieceTokenizer::Split(
    std::string_view text, bool isolate_special) const {
  std::vector<Part> parts;
  size_t done = 0, from = 0;
  bool strip = false;  // the front of what comes next
  const auto plain = [&](std::string_view between, bool strip_behind) {
    if (strip) between = WithoutSpacesInFront(between);
    if (strip_behind) between = WithoutSpacesBehind(between);
    if (!between.empty()) parts.push_back({between, -1});
  };
  while (const std::optional<StringTrie::Match> match = trie_.Find(text, from)) {
    from = match->end;
    const Token& token = *Added(match->value);
    if (isolate_special && token.special) continue;
    plain(text.substr(done, match->begin - done), token.strip_left);
    parts.push_back({text.substr(match->begin, match->end - match->begin), match->value});
    done = match->end;
    strip = token.strip_right;
  }
  plain(text.substr(done), false);
  return parts;
}

void SentencePieceTokenizer::EncodePart(std::string_view text, std::vector<int32_t>* ids) const {
  const bool has_border = text.starts_with(' ') || text.starts_with(kWordBorder);
  if (legacy_ || !has_border) return model_.Encode(text, ids);
  // As LlamaTokenizer: something in front keeps the border, and its own tokens are dropped.
  std::vector<int32_t> all;
  model_.Encode(StrCat(unknown_name_, text), &all);
  const size_t drop = all.size() >= unknown_text_.size() ? unknown_text_.size() : 0;
  ids->insert(ids->end(), all.begin() + static_cast<std::ptrdiff_t>(drop), all.end());
}

absl::StatusOr<std::vector<int32_t>> SentencePieceTokenizer::Encode(
    std::string_view text, const EncodeOptions& options) const {
  if (text.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(
        StrCat("text: ", text.size(), " bytes, want at most ", kMaxTextBytes));
  }
  CHORUS_RETURN_IF_ERROR(CheckUtf8(text, "text"));
  std::string bordered;
  if (!legacy_ && !text.empty()) {
    bordered = StrCat(add_prefix_space_ ? kWordBorder : "", BlanksForBorders(text));
    text = bordered;
  }
  std::vector<int32_t> ids;
  if (options.add_special_tokens && bos_.has_value()) ids.push_back(*bos_);
  const size_t begin = ids.size();
  for (const Part& part : Split(text, options.isolate_special_tokens)) {
    if (part.id < 0) {
      EncodePart(part.text, &ids);
      continue;
    }
    // The border that was put in front of the text is none of it before a named token. (Before
    // other special tokens LlamaTokenizer leaves it.)
    const bool only_border = !legacy_ && ids.size() == begin + 1 && IsPiece(ids.back()) &&
                             model_.piece(ids.back()).text == kWordBorder && Added(part.id)->named;
    if (only_border) ids.pop_back();
    ids.push_back(part.id);
  }
  if (options.add_special_tokens && eos_.has_value()) ids.push_back(*eos_);
  return ids;
}

std::unique_ptr<DecodeStream> SentencePieceTokenizer::NewDecodeStream(
    bool skip_special_tokens) const {
  return std::make_unique<Stream>(this, skip_special_tokens);
}

std::string SentencePieceTokenizer::TokenBytes(int32_t id) const {
  if (const Token* const token = Added(id)) return token->content;
  if (!IsPiece(id)) return {};
  const SentencePieceFile::Piece& piece = model_.piece(id);
  if (piece.kind == SentencePieceFile::Kind::kByte) {
    return std::string(1, static_cast<char>(std::stoi(piece.text.substr(3, 2), nullptr, 16)));
  }
  return IsSpecial(id) ? piece.text : BlanksForBorders(piece.text);
}

std::optional<std::string> SentencePieceTokenizer::TokenText(int32_t id) const {
  if (const Token* const token = Added(id)) return token->content;
  if (!IsPiece(id)) return std::nullopt;
  return model_.piece(id).text;
}

std::optional<int32_t> SentencePieceTokenizer::TokenId(std::string_view token) const {
  const auto found = ids_.find(token);
  return found != ids_.end() ? std::optional(found->second) : model_.Find(token);
}

bool SentencePieceTokenizer::IsSpecial(int32_t id) const {
  if (const Token* const token = Added(id); token != nullptr && token->special) return true;
  if (!IsPiece(id)) return false;
  const SentencePieceFile::Kind kind = model_.piece(id).kind;
  return kind == SentencePieceFile::Kind::kControl || kind == SentencePieceFile::Kind::kUnknown;
}

}  // namespace chorus::engine
