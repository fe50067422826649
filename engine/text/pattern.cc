#include "engine/text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "absl/strings/str_format.h"
#include "engine/text/kind_map.h"
#include "engine/text/pattern_parser.h"
#include "engine/text/str_cat.h"
#include "engine/text/utf8.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr size_t kMaxExpressionBytes = 1 << 16;
constexpr uint32_t kMaxSteps = 10'000'000;  // of one match; far above what the known models need
constexpr uint32_t kMaxDepth = 1'000'000;
constexpr uint32_t kMaxHeapKib = 64 << 10;

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

std::string ErrorText(int code) {
  PCRE2_UCHAR message[256];
  if (pcre2_get_error_message(code, message, sizeof message) < 0) return StrCat(code);
  return reinterpret_cast<const char*>(message);
}

// The expression over bytes of kind.
std::string Translate(const ParsedPattern& parsed, const KindMap& kinds) {
  std::string result;
  for (const ParsedPattern::Part& part : parsed.parts) {
    result += part.structure;
    if (part.set < 0) continue;
    if (kinds.KindsOf(part.set).empty()) {
      result += "(*F)";
      continue;
    }
    result += '[';
    for (const uint8_t kind : kinds.KindsOf(part.set))
      absl::StrAppendFormat(&result, "\\x%02x", kind);
    result += ']';
  }
  return result;
}

}  // namespace

struct Pattern::Scratch::Buffers {
  std::unique_ptr<pcre2_match_data, FreeMatchData> match{pcre2_match_data_create(1, nullptr)};
  std::string kinds;             // one byte per character of the text
  std::vector<uint32_t> offset;  // [characters + 1], byte where each starts
};

Pattern::Scratch::Scratch() : buffers_(std::make_unique<Buffers>()) {}
Pattern::Scratch::~Scratch() = default;
Pattern::Scratch::Scratch(Scratch&&) noexcept = default;
Pattern::Scratch& Pattern::Scratch::operator=(Scratch&&) noexcept = default;

class Pattern::Automaton {
 public:
  static absl::StatusOr<std::unique_ptr<const Automaton>> Compile(std::string_view expression) {
    if (expression.size() > kMaxExpressionBytes) {
      return absl::InvalidArgumentError(StrCat("regular expression: ", expression.size(),
                                               " bytes, want at most ", kMaxExpressionBytes));
    }
    CHORUS_ASSIGN_OR_RETURN(const ParsedPattern parsed, ParsePattern(expression));
    CHORUS_ASSIGN_OR_RETURN(KindMap kinds, KindMap::Build(parsed.sets));
    const std::string translated = Translate(parsed, kinds);
    int error = 0;
    PCRE2_SIZE where = 0;
    std::unique_ptr<pcre2_code, FreeCode> code(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), 0, &error,
                      &where, nullptr));
    if (code == nullptr) {
      return absl::InvalidArgumentError(
          StrCat("regular expression \"", expression, "\" does not compile: ", ErrorText(error)));
    }
    pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without it, the interpreter serves
    std::unique_ptr<Automaton> result(new Automaton(std::move(kinds), std::move(code)));
    return result;
  }

  absl::Status FindAll(std::string_view text, Scratch::Buffers* buffers,
                       std::vector<Match>* matches) const {
    Classify(text, buffers);
    const size_t characters = buffers->kinds.size();
    const auto byte_at = [&](size_t i) { return buffers->offset[i]; };
    size_t at = 0;
    size_t last_end = std::string_view::npos;
    while (at <= characters) {
      CHORUS_ASSIGN_OR_RETURN(const bool found, Search(at, buffers));
      if (!found) break;
      const PCRE2_SIZE* const range = pcre2_get_ovector_pointer(buffers->match.get());
      if (range[0] == range[1] && range[1] == last_end) {
        ++at;
        continue;
      }
      matches->push_back({byte_at(range[0]), byte_at(range[1])});
      at = last_end = range[1];
    }
    return absl::OkStatus();
  }

 private:
  Automaton(KindMap kinds, std::unique_ptr<pcre2_code, FreeCode> code)
      : kinds_(std::move(kinds)),
        code_(std::move(code)),
        limits_(pcre2_match_context_create(nullptr)) {
    pcre2_set_match_limit(limits_.get(), kMaxSteps);
    pcre2_set_depth_limit(limits_.get(), kMaxDepth);
    pcre2_set_heap_limit(limits_.get(), kMaxHeapKib);
  }

  void Classify(std::string_view text, Scratch::Buffers* buffers) const {
    buffers->kinds.resize(text.size());
    buffers->offset.resize(text.size() + 1);
    size_t count = 0;
    for (size_t at = 0; at < text.size(); ++count) {
      buffers->offset[count] = static_cast<uint32_t>(at);
      buffers->kinds[count] = static_cast<char>(kinds_.KindOf(DecodeUtf8(text, &at)));
    }
    buffers->offset[count] = static_cast<uint32_t>(text.size());
    buffers->kinds.resize(count);
  }

  absl::StatusOr<bool> Search(size_t at, Scratch::Buffers* buffers) const {
    const auto match = [&](uint32_t options) {
      return pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(buffers->kinds.data()),
                         buffers->kinds.size(), at, options, buffers->match.get(), limits_.get());
    };
    int found = match(0);
    // The compiled code runs on a small stack; the interpreter takes from the bounded heap.
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(PCRE2_NO_JIT);
    if (found == PCRE2_ERROR_NOMATCH) return false;
    if (found < 0) {
      return absl::ResourceExhaustedError(
          StrCat("splitting the text by the model's regular expression: ", ErrorText(found)));
    }
    return true;
  }

  KindMap kinds_;
  std::unique_ptr<pcre2_code, FreeCode> code_;
  std::unique_ptr<pcre2_match_context, FreeContext> limits_;
};

Pattern::Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

absl::StatusOr<Pattern> Pattern::Regex(std::string_view expression) {
  Pattern pattern;
  CHORUS_ASSIGN_OR_RETURN(pattern.automaton_, Automaton::Compile(expression));
  return pattern;
}

Pattern Pattern::Literal(std::string_view text) {
  Pattern pattern;
  pattern.literal_ = text;
  return pattern;
}

absl::Status Pattern::FindAll(std::string_view text, Scratch* scratch,
                              std::vector<Match>* matches) const {
  if (text.empty()) return absl::OkStatus();  // as Hugging Face: not even an empty match
  if (automaton_ != nullptr) return automaton_->FindAll(text, scratch->buffers_.get(), matches);
  if (literal_.empty()) {
    for (size_t at = 0; at < text.size(); at += Utf8Length(text[at])) matches->push_back({at, at});
    matches->push_back({text.size(), text.size()});
    return absl::OkStatus();
  }
  for (size_t at = text.find(literal_); at != std::string_view::npos;
       at = text.find(literal_, at + literal_.size())) {
    matches->push_back({at, at + literal_.size()});
  }
  return absl::OkStatus();
}

}  // namespace chorus::engine
