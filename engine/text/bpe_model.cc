#include "engine/text/bpe_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/str_cat.h"
#include "engine/text/utf8.h"
#include "engine/text/word_border.h"
#include "kernels/status_macros.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {
namespace {

constexpr std::string_view kOwner = "model BPE";
constexpr int64_t kMaxId = (1 << 24) - 1;

absl::Status Invalid(std::string_view what) {
  return absl::InvalidArgumentError(StrCat(kOwner, ": ", what));
}

}  // namespace

absl::StatusOr<BpeModel> BpeModel::FromJson(const Json& json, bool raw_bytes) {
  if (FindField(json, "type") != nullptr) {
    CHORUS_ASSIGN_OR_RETURN(const std::string type, StringField(json, "type", "model"));
    if (type != "BPE") return UnsupportedComponent("model", type);
  }
  BpeModel model;
  model.raw_bytes_ = raw_bytes;
  CHORUS_RETURN_IF_ERROR(model.ReadFlags(json));
  CHORUS_ASSIGN_OR_RETURN(const Json* const vocabulary, ObjectField(json, "vocab", kOwner));
  CHORUS_RETURN_IF_ERROR(model.ReadVocabulary(*vocabulary));
  CHORUS_ASSIGN_OR_RETURN(const Json* const merges, ArrayField(json, "merges", kOwner));
  CHORUS_RETURN_IF_ERROR(model.ReadMerges(*merges));
  std::string unknown;
  if (FindField(json, "unk_token") != nullptr) {
    CHORUS_ASSIGN_OR_RETURN(unknown, StringField(json, "unk_token", kOwner));
    model.unknown_ = model.Find(unknown);
  }
  model.IndexWords();
  // Hugging Face fails once such a token is needed; a complete byte alphabet never needs it.
  if (!unknown.empty() && !model.unknown_.has_value() && !model.CoversAllBytes()) {
    return Invalid(StrCat("the unk_token \"", unknown, "\" is not in the vocabulary"));
  }
  return model;
}

absl::Status BpeModel::ReadFlags(const Json& json) {
  const Json* const dropout = FindField(json, "dropout");
  if (dropout != nullptr && !(dropout->is_number() && dropout->get<double>() == 0)) {
    return Invalid("dropout is not supported");
  }
  for (const char* const affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (FindField(json, affix) == nullptr) continue;
    CHORUS_ASSIGN_OR_RETURN(const std::string text, StringField(json, affix, kOwner));
    if (!text.empty()) return Invalid(StrCat(affix, " is not supported"));
  }
  CHORUS_ASSIGN_OR_RETURN(fuse_unknown_, BoolField(json, "fuse_unk", kOwner, false));
  CHORUS_ASSIGN_OR_RETURN(byte_fallback_, BoolField(json, "byte_fallback", kOwner, false));
  CHORUS_ASSIGN_OR_RETURN(ignore_merges_, BoolField(json, "ignore_merges", kOwner, false));
  return absl::OkStatus();
}

absl::Status BpeModel::ReadVocabulary(const Json& vocabulary) {
  vocabulary_.reserve(vocabulary.size());
  for (const auto& [token, id] : vocabulary.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > kMaxId) {
      return Invalid(StrCat("the id of \"", token, "\" is ", id.dump(), ", want 0 to ", kMaxId));
    }
    const auto index = id.get<size_t>();
    if (index >= texts_.size()) texts_.resize(index + 1);
    if (texts_[index].has_value()) {
      return Invalid(StrCat("\"", *texts_[index], "\" and \"", token, "\" share the id ", index));
    }
    texts_[index] = token;
    vocabulary_.emplace(token, static_cast<int32_t>(index));
  }
  return absl::OkStatus();
}

absl::Status BpeModel::ReadMerges(const Json& merges) {
  merger_.Reserve(merges.size());
  int32_t rank = 0;
  for (const Json& merge : merges) {
    if (merge.is_string()) {
      const std::string_view text = merge.get_ref<const std::string&>();
      if (text.starts_with("#version")) continue;
      const size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
        return Invalid(StrCat("merge ", rank, " is \"", text, "\", want two tokens"));
      }
      CHORUS_RETURN_IF_ERROR(AddMerge(rank++, text.substr(0, space), text.substr(space + 1)));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      CHORUS_RETURN_IF_ERROR(AddMerge(rank++, merge[0].get_ref<const std::string&>(),
                                      merge[1].get_ref<const std::string&>()));
    } else {
      return Invalid(
          StrCat("merge ", rank, " is ", merge.type_name(), ", want \"a b\" or [\"a\", \"b\"]"));
    }
  }
  return absl::OkStatus();
}

absl::Status BpeModel::AddMerge(int32_t rank, std::string_view left, std::string_view right) {
  const std::string merged = StrCat(left, right);
  for (const std::string_view token : {left, right, std::string_view(merged)}) {
    if (!Find(token).has_value()) {
      return Invalid(StrCat("merge ", rank, ": \"", token, "\" is not in the vocabulary"));
    }
  }
  merger_.Add(*Find(left), *Find(right), rank, *Find(merged));
  return absl::OkStatus();
}

void BpeModel::IndexWords() {
  // A character that yields nothing would leave what is beside it to merge.
  cuts_words_ = !raw_bytes_ && Find(kWordBorder).has_value() && unknown_.has_value();
  for (const auto& [token, id] : vocabulary_) {
    std::optional<std::string> word = raw_bytes_ ? SpelledBytes(token) : token;
    if (word.has_value()) words_.emplace(*std::move(word), Word{id, false});
    if (HasInnerBorder(token)) cuts_words_ = false;
  }
  if (raw_bytes_) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string character;
      AppendUtf8(CharacterOfByte(static_cast<uint8_t>(byte)), &character);
      byte_units_.push_back(UnitOf(character));
    }
  }
  // Most words of a text are tokens: knowing which of them merging would build up saves the merge.
  BpeMerger::Scratch scratch;
  std::vector<int32_t> ids;
  for (auto& [text, word] : words_) {
    ids.clear();
    Merge(text, &scratch, &ids);
    word.whole = ids.size() == 1 && ids[0] == word.id;
  }
}

bool BpeModel::CoversAllBytes() const {
  return raw_bytes_ && std::all_of(byte_units_.begin(), byte_units_.end(), [](const Unit& unit) {
           return unit.kind == Unit::Kind::kToken || unit.kind == Unit::Kind::kBytes;
         });
}

BpeModel::Unit BpeModel::UnitOf(std::string_view character) const {
  if (const std::optional<int32_t> id = Find(character)) return {Unit::Kind::kToken, {*id}};
  if (byte_fallback_) {
    Unit unit{Unit::Kind::kBytes, {}};
    for (const char byte : character) {
      const std::optional<int32_t> id =
          Find(absl::StrFormat("<0x%02X>", static_cast<uint8_t>(byte)));
      if (!id.has_value()) break;
      unit.ids.push_back(*id);
    }
    if (unit.ids.size() == character.size()) return unit;
  }
  if (unknown_.has_value()) return {Unit::Kind::kUnknown, {*unknown_}};
  return {};
}

void BpeModel::Encode(std::string_view word, BpeMerger::Scratch* scratch,
                      std::vector<int32_t>* ids) const {
  if (ignore_merges_) {
    if (const auto found = words_.find(word); found != words_.end()) {
      ids->push_back(found->second.id);
      return;
    }
  }
  if (!cuts_words_) return EncodeWord(word, scratch, ids);
  ForEachWord(word, [&](std::string_view part) { EncodeWord(part, scratch, ids); });
}

void BpeModel::EncodeWord(std::string_view word, BpeMerger::Scratch* scratch,
                          std::vector<int32_t>* ids) const {
  const auto found = words_.find(word);
  if (found != words_.end() && found->second.whole) {
    ids->push_back(found->second.id);
  } else {
    Merge(word, scratch, ids);
  }
}

void BpeModel::Merge(std::string_view word, BpeMerger::Scratch* scratch,
                     std::vector<int32_t>* ids) const {
  scratch->Clear();
  PushUnits(word, scratch);
  merger_.Run(scratch, ids);
}

void BpeModel::PushUnits(std::string_view word, BpeMerger::Scratch* scratch) const {
  bool pending = false;  // an unknown token not yet pushed
  Unit computed;
  for (size_t at = 0; at < word.size();) {
    const Unit* unit = &computed;
    if (raw_bytes_) {
      unit = &byte_units_[static_cast<uint8_t>(word[at++])];
    } else {
      const size_t length = Utf8Length(word[at]);
      computed = UnitOf(word.substr(at, length));
      at += length;
    }
    // As Hugging Face: an unknown token waits for the next known character (or for the next
    // unknown one, when they do not fuse), and bytes overtake it.
    switch (unit->kind) {
      case Unit::Kind::kToken:
        if (std::exchange(pending, false)) scratch->Push(*unknown_);
        scratch->Push(unit->ids[0]);
        break;
      case Unit::Kind::kBytes:
        for (const int32_t id : unit->ids) scratch->Push(id);
        break;
      case Unit::Kind::kUnknown:
        if (pending && !fuse_unknown_) scratch->Push(*unknown_);
        pending = true;
        break;
      case Unit::Kind::kNothing:
        break;
    }
  }
  if (pending) scratch->Push(*unknown_);
}

std::optional<int32_t> BpeModel::Find(std::string_view token) const {
  const auto found = vocabulary_.find(token);
  if (found == vocabulary_.end()) return std::nullopt;
  return found->second;
}

const std::string* BpeModel::TokenText(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= texts_.size()) return nullptr;
  const std::optional<std::string>& text = texts_[static_cast<size_t>(id)];
  return text.has_value() ? &*text : nullptr;
}

}  // namespace chorus::engine
