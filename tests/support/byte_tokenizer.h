// ByteTokenizer: id b is the byte b, ids from 256 on are the strings it is given. Decoding drops
// nothing and holds back incomplete characters.
#ifndef CHORUS_TESTS_SUPPORT_BYTE_TOKENIZER_H_
#define CHORUS_TESTS_SUPPORT_BYTE_TOKENIZER_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/tokenizer.h"
#include "engine/text/utf8.h"

namespace chorus::test {

class ByteTokenizer : public engine::Tokenizer {
 public:
  explicit ByteTokenizer(std::vector<std::string> strings = {}) : strings_(std::move(strings)) {}

  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                              const EncodeOptions&) const override {
    std::vector<int32_t> ids;
    for (const char byte : text) ids.push_back(static_cast<uint8_t>(byte));
    return ids;
  }
  std::unique_ptr<engine::DecodeStream> NewDecodeStream(bool) const override {
    return std::make_unique<Stream>(this);
  }
  std::string TokenBytes(int32_t id) const override {
    return id < 256 ? std::string(1, static_cast<char>(id))
                    : strings_.at(static_cast<size_t>(id) - 256);
  }
  std::optional<std::string> TokenText(int32_t id) const override { return TokenBytes(id); }
  std::optional<int32_t> TokenId(std::string_view) const override { return std::nullopt; }
  bool IsSpecial(int32_t) const override { return false; }
  int32_t size() const override { return 256 + static_cast<int32_t>(strings_.size()); }

 private:
  class Stream : public engine::DecodeStream {
   public:
    explicit Stream(const ByteTokenizer* tokenizer) : tokenizer_(tokenizer) {}
    void Push(int32_t id, std::string* out) override {
      held_ += tokenizer_->TokenBytes(id);
      const size_t whole = held_.size() - engine::IncompleteUtf8Suffix(held_);
      engine::AppendLossyUtf8(std::string_view(held_).substr(0, whole), out);
      held_.erase(0, whole);
    }
    void Finish(std::string* out) override { engine::AppendLossyUtf8(held_, out); }

   private:
    const ByteTokenizer* const tokenizer_;
    std::string held_;
  };

  const std::vector<std::string> strings_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_BYTE_TOKENIZER_H_
