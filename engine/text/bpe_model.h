// The "model" of a tokenizer.json: byte-pair encoding of one word. Immutable after FromJson; any
// thread may call with a scratch of its own.
#ifndef CHORUS_ENGINE_TEXT_BPE_MODEL_H_
#define CHORUS_ENGINE_TEXT_BPE_MODEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/bpe_merger.h"
#include "engine/text/json_fields.h"
#include "engine/text/str_cat.h"

namespace chorus::engine {

class BpeModel {
 public:
  // Reads {"type": "BPE", "vocab": …, "merges": …}. With `raw_bytes`, words come as raw bytes
  // although the vocabulary spells them in the byte alphabet. InvalidArgument, naming the field,
  // for anything that is malformed or not supported.
  static absl::StatusOr<BpeModel> FromJson(const Json& json, bool raw_bytes);

  // Appends the ids of `word`. An unknown character without a fallback and without an unknown
  // token yields nothing.
  void Encode(std::string_view word, BpeMerger::Scratch* scratch, std::vector<int32_t>* ids) const;

  std::optional<int32_t> Find(std::string_view token) const;
  // The token as the vocabulary spells it; null for an id that it leaves out.
  const std::string* TokenText(int32_t id) const;
  int32_t vocabulary_size() const { return static_cast<int32_t>(vocabulary_.size()); }
  int32_t max_id() const { return static_cast<int32_t>(texts_.size()) - 1; }

 private:
  struct Word {
    int32_t id;
    bool whole;  // merging its parts gives just this token
  };
  // What stands for one character (one byte, with raw_bytes) before merging.
  struct Unit {
    enum class Kind { kToken, kBytes, kUnknown, kNothing } kind = Kind::kNothing;
    std::vector<int32_t> ids;
  };

  BpeModel() = default;
  absl::Status ReadFlags(const Json& json);
  absl::Status ReadVocabulary(const Json& vocabulary);
  absl::Status ReadMerges(const Json& merges);
  absl::Status AddMerge(int32_t rank, std::string_view left, std::string_view right);
  void IndexWords();
  bool CoversAllBytes() const;
  Unit UnitOf(std::string_view character) const;
  void EncodeWord(std::string_view word, BpeMerger::Scratch* scratch,
                  std::vector<int32_t>* ids) const;
  void Merge(std::string_view word, BpeMerger::Scratch* scratch, std::vector<int32_t>* ids) const;
  void PushUnits(std::string_view word, BpeMerger::Scratch* scratch) const;

  StringMap<int32_t> vocabulary_;
  std::vector<std::optional<std::string>> texts_;  // by id
  StringMap<Word> words_;                          // as Encode gets them
  std::vector<Unit> byte_units_;                   // [256] with raw_bytes_
  BpeMerger merger_;
  std::optional<int32_t> unknown_;
  bool raw_bytes_ = false;
  bool fuse_unknown_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
  bool cuts_words_ = false;  // no token crosses a word border
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_BPE_MODEL_H_
