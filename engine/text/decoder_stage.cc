#include "engine/text/decoder_stage.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/text/byte_alphabet.h"
#include "engine/text/json_pattern.h"
#include "engine/text/pattern.h"
#include "engine/text/str_cat.h"
#include "engine/text/utf8.h"
#include "kernels/status_macros.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {
namespace {

using StagePtr = std::unique_ptr<const DecoderStage>;
using StatePtr = std::unique_ptr<DecoderStageState>;

// A state that needs a string as a whole.
class WholeStrings : public DecoderStageState {
 public:
  void Fragment(std::string_view text) final { string_.append(text); }
  void EndString() final {
    String(string_);
    string_.clear();
  }

 protected:
  virtual void String(std::string_view text) = 0;

 private:
  std::string string_;
};

// ---- Fuse: all strings become one.

class FuseState : public DecoderStageState {
 public:
  void Fragment(std::string_view text) override { next_->Fragment(text); }
  void EndString() override {}
  void EndSequence() override {
    next_->EndString();
    next_->EndSequence();
  }
};

class FuseStage : public DecoderStage {
 public:
  StatePtr NewState() const override { return std::make_unique<FuseState>(); }
};

// ---- No decoder: a blank between two strings.

class JoinState : public DecoderStageState {
 public:
  void Fragment(std::string_view text) override {
    if (std::exchange(between_, false)) next_->Fragment(" ");
    next_->Fragment(text);
  }
  void EndString() override { between_ = true; }

 private:
  bool between_ = false;
};

class JoinStage : public DecoderStage {
 public:
  StatePtr NewState() const override { return std::make_unique<JoinState>(); }
};

// ---- ByteLevel: the byte alphabet back to bytes, all of them one string. A string with a
// character outside the alphabet stands for itself.

class ByteLevelState : public WholeStrings {
 public:
  void EndSequence() override {
    Release(0);
    next_->EndString();
    next_->EndSequence();
  }

 protected:
  void String(std::string_view text) override {
    const std::optional<std::string> bytes = SpelledBytes(text);
    held_.append(bytes.has_value() ? *bytes : text);
    Release(IncompleteUtf8Suffix(held_));
  }

 private:
  void Release(size_t keep) {
    const size_t length = held_.size() - keep;
    if (length == 0) return;
    std::string text;
    AppendLossyUtf8(std::string_view(held_).substr(0, length), &text);
    held_.erase(0, length);
    next_->Fragment(text);
  }

  std::string held_;  // the beginning of a character
};

class ByteLevelStage : public DecoderStage {
 public:
  StatePtr NewState() const override { return std::make_unique<ByteLevelState>(); }
  std::string TokenBytes(std::string text) const override {
    return SpelledBytes(text).value_or(text);
  }
};

// ---- ByteFallback: strings like <0x0A> are bytes. A run of them is text when all of it is UTF-8,
// else one U+FFFD per byte; so a run is held until it ends.

std::optional<char> FallbackByte(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  int value = 0;
  for (const char digit : text.substr(3, 2)) {
    value *= 16;
    if (digit >= '0' && digit <= '9') {
      value += digit - '0';
    } else if (digit >= 'a' && digit <= 'f') {
      value += digit - 'a' + 10;
    } else if (digit >= 'A' && digit <= 'F') {
      value += digit - 'A' + 10;
    } else if (digit == '+' && &digit == &text[3]) {
      continue;  // Rust reads a sign, too
    } else {
      return std::nullopt;
    }
  }
  return static_cast<char>(value);
}

class ByteFallbackState : public WholeStrings {
 public:
  void EndSequence() override {
    EndRun();
    next_->EndSequence();
  }

 protected:
  void String(std::string_view text) override {
    if (const std::optional<char> byte = FallbackByte(text)) {
      run_.push_back(*byte);
      return;
    }
    EndRun();
    EmitString(text);
  }

 private:
  void EndRun() {
    if (run_.empty()) return;
    if (FindInvalidUtf8(run_) == std::string_view::npos) {
      EmitString(run_);
    } else {
      for (size_t i = 0; i < run_.size(); ++i) EmitString(kReplacementCharacter);
    }
    run_.clear();
  }

  std::string run_;
};

class ByteFallbackStage : public DecoderStage {
 public:
  StatePtr NewState() const override { return std::make_unique<ByteFallbackState>(); }
  std::string TokenBytes(std::string text) const override {
    const std::optional<char> byte = FallbackByte(text);
    return byte.has_value() ? std::string(1, *byte) : text;
  }
};

// ---- Replace: a pattern by a text, in each string alone.

class ReplaceStage : public DecoderStage {
 public:
  ReplaceStage(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  StatePtr NewState() const override;
  std::string TokenBytes(std::string text) const override { return Apply(text); }

  std::string Apply(std::string_view text) const {
    Pattern::Scratch scratch;
    std::vector<Pattern::Match> matches;
    // A token is short, a model's own; past the limits it stays as it is.
    if (FindInvalidUtf8(text) != std::string_view::npos ||
        !pattern_.FindAll(text, &scratch, &matches).ok()) {
      return std::string(text);
    }
    std::string result;
    size_t at = 0;
    for (const Pattern::Match& match : matches) {
      StrAppend(&result, text.substr(at, match.begin - at), content_);
      at = match.end;
    }
    StrAppend(&result, text.substr(at));
    return result;
  }
  const std::string& literal() const { return pattern_.literal(); }
  const std::string& content() const { return content_; }

 private:
  Pattern pattern_;
  std::string content_;
};

class ReplaceState : public WholeStrings {
 public:
  explicit ReplaceState(const ReplaceStage* stage) : stage_(stage) {}

 protected:
  void String(std::string_view text) override { EmitString(stage_->Apply(text)); }

 private:
  const ReplaceStage* const stage_;
};

// A literal is replaced as it comes: only what may be its beginning is held.
class ReplaceLiteralState : public DecoderStageState {
 public:
  explicit ReplaceLiteralState(const ReplaceStage* stage) : stage_(stage) {}

  void Fragment(std::string_view text) override {
    held_.append(text);
    const std::string& literal = stage_->literal();
    std::string ready;
    size_t at = 0;
    for (size_t match; (match = held_.find(literal, at)) != std::string::npos;
         at = match + literal.size()) {
      StrAppend(&ready, held_.substr(at, match - at), stage_->content());
    }
    size_t keep = std::min(held_.size() - at, literal.size() - 1);
    while (!literal.starts_with(std::string_view(held_).substr(held_.size() - keep))) --keep;
    ready.append(held_, at, held_.size() - at - keep);
    held_.erase(0, held_.size() - keep);
    next_->Fragment(ready);
  }
  void EndString() override {
    next_->Fragment(std::exchange(held_, std::string()));
    next_->EndString();
  }

 private:
  const ReplaceStage* const stage_;
  std::string held_;
};

StatePtr ReplaceStage::NewState() const {
  if (literal().empty()) return std::make_unique<ReplaceState>(this);
  return std::make_unique<ReplaceLiteralState>(this);
}

// ---- Strip: up to `start` characters equal to `content` from the front of each string, up to
// `stop` from its end.

class StripStage : public DecoderStage {
 public:
  StripStage(std::string content, size_t start, size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  StatePtr NewState() const override;

  const std::string& content() const { return content_; }
  size_t start() const { return start_; }
  size_t stop() const { return stop_; }

 private:
  std::string content_;  // one character
  size_t start_, stop_;
};

class StripState : public DecoderStageState {
 public:
  explicit StripState(const StripStage* stage) : stage_(stage) {}

  void Fragment(std::string_view text) override {
    const std::string& content = stage_->content();
    while (at_front_ && cut_ < stage_->start() && text.starts_with(content)) {
      text.remove_prefix(content.size());
      ++cut_;
    }
    if (text.empty()) return;
    at_front_ = false;
    held_.append(text);
    size_t end = held_.size();
    for (size_t i = 0; i < stage_->stop() && EndsWithContent(end); ++i) end -= content.size();
    next_->Fragment(std::string_view(held_).substr(0, end));
    held_.erase(0, end);
  }
  void EndString() override {
    held_.clear();
    at_front_ = true;
    cut_ = 0;
    next_->EndString();
  }

 private:
  bool EndsWithContent(size_t end) const {
    return std::string_view(held_).substr(0, end).ends_with(stage_->content());
  }

  const StripStage* const stage_;
  bool at_front_ = true;
  size_t cut_ = 0;
  std::string held_;  // at most `stop` times the content, dropped at the end of the string
};

StatePtr StripStage::NewState() const { return std::make_unique<StripState>(this); }

// ---- Metaspace: its marker back to a blank, and to nothing in the first string.

class MetaspaceStage : public DecoderStage {
 public:
  MetaspaceStage(std::string marker, bool drops_first)
      : marker_(std::move(marker)), drops_first_(drops_first) {}
  StatePtr NewState() const override;
  std::string TokenBytes(std::string text) const override { return Apply(text, " "); }

  std::string Apply(std::string_view text, std::string_view blank) const {
    std::string result;
    while (!text.empty()) {
      const size_t marker = text.find(marker_);
      StrAppend(&result, text.substr(0, marker));
      if (marker == std::string_view::npos) break;
      StrAppend(&result, blank);
      text.remove_prefix(marker + marker_.size());
    }
    return result;
  }
  bool drops_first() const { return drops_first_; }

 private:
  std::string marker_;
  bool drops_first_;
};

class MetaspaceState : public DecoderStageState {
 public:
  explicit MetaspaceState(const MetaspaceStage* stage) : stage_(stage) {}

  void Fragment(std::string_view text) override {
    next_->Fragment(stage_->Apply(text, first_ && stage_->drops_first() ? "" : " "));
  }
  void EndString() override {
    first_ = false;
    next_->EndString();
  }

 private:
  const MetaspaceStage* const stage_;
  bool first_ = true;
};

StatePtr MetaspaceStage::NewState() const { return std::make_unique<MetaspaceState>(this); }

absl::Status CheckOneCharacter(const std::string& text, std::string_view owner) {
  if (!text.empty() && Utf8Length(text[0]) == text.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat(owner, ": the character is \"", text, "\", want exactly one"));
}

absl::StatusOr<size_t> CountField(const Json& json, const char* key, std::string_view owner) {
  CHORUS_ASSIGN_OR_RETURN(const int64_t count, IntField(json, key, owner));
  if (count >= 0) return static_cast<size_t>(count);
  return absl::InvalidArgumentError(StrCat(owner, ": \"", key, "\" is ", count));
}

}  // namespace

StagePtr DecoderStage::JoinWithBlanks() { return std::make_unique<JoinStage>(); }

absl::StatusOr<StagePtr> DecoderStage::FromJson(const Json& json) {
  CHORUS_ASSIGN_OR_RETURN(const std::string type, StringField(json, "type", "decoder"));
  const std::string owner = StrCat("decoder ", type);
  if (type == "ByteLevel") return std::make_unique<ByteLevelStage>();
  if (type == "Fuse") return std::make_unique<FuseStage>();
  if (type == "ByteFallback") return std::make_unique<ByteFallbackStage>();
  if (type == "Replace") {
    CHORUS_ASSIGN_OR_RETURN(Pattern pattern, PatternField(json, owner));
    CHORUS_ASSIGN_OR_RETURN(std::string content, StringField(json, "content", owner));
    return std::make_unique<ReplaceStage>(std::move(pattern), std::move(content));
  }
  if (type == "Strip") {
    CHORUS_ASSIGN_OR_RETURN(std::string content, StringField(json, "content", owner));
    CHORUS_RETURN_IF_ERROR(CheckOneCharacter(content, owner));
    CHORUS_ASSIGN_OR_RETURN(const size_t start, CountField(json, "start", owner));
    CHORUS_ASSIGN_OR_RETURN(const size_t stop, CountField(json, "stop", owner));
    return std::make_unique<StripStage>(std::move(content), start, stop);
  }
  if (type == "Metaspace") {
    CHORUS_ASSIGN_OR_RETURN(std::string marker, StringField(json, "replacement", owner));
    CHORUS_RETURN_IF_ERROR(CheckOneCharacter(marker, owner));
    CHORUS_ASSIGN_OR_RETURN(const bool prefix, BoolField(json, "add_prefix_space", owner, true));
    bool never = !prefix;
    if (FindField(json, "prepend_scheme") != nullptr) {
      CHORUS_ASSIGN_OR_RETURN(const std::string scheme, StringField(json, "prepend_scheme", owner));
      never = scheme == "never";
    }
    return std::make_unique<MetaspaceStage>(std::move(marker), !never);
  }
  return UnsupportedComponent("decoder", type);
}

}  // namespace chorus::engine
