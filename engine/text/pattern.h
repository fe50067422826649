// A regular expression or a plain string of a tokenizer.json, searched as Hugging Face does with
// Oniguruma (Ruby syntax, Unicode 16). The expression is translated so that Unicode plays no part
// in the search: its character sets cut the code points into at most 256 kinds, the text becomes
// one byte of kind per character, and PCRE2 matches those bytes, with limits on steps and memory.
// Immutable after Compile; any thread may search with a scratch of its own.
#ifndef CHORUS_ENGINE_TEXT_PATTERN_H_
#define CHORUS_ENGINE_TEXT_PATTERN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace chorus::engine {

class Pattern {
 public:
  struct Match {
    size_t begin, end;  // bytes
  };
  // What a search needs and may keep for the next one; one thread at a time.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(Scratch&&) noexcept;
    Scratch& operator=(Scratch&&) noexcept;

   private:
    friend class Pattern;
    struct Buffers;
    std::unique_ptr<Buffers> buffers_;
  };

  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  // InvalidArgument, naming the construct, when the expression is malformed or means something
  // that this translation does not cover.
  static absl::StatusOr<Pattern> Regex(std::string_view expression);
  // Matches `text` itself. An empty one matches between all characters.
  static Pattern Literal(std::string_view text);

  // All matches from left to right; an empty match never follows its neighbour directly.
  // ResourceExhausted when the search takes more steps or memory than allowed.
  // REQUIRES: valid UTF-8.
  absl::Status FindAll(std::string_view text, Scratch* scratch, std::vector<Match>* matches) const;

  // The string of a Literal, empty for a Regex.
  const std::string& literal() const { return literal_; }

 private:
  class Automaton;

  Pattern();

  std::string literal_;
  std::unique_ptr<const Automaton> automaton_;  // null when literal_ is searched for
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_PATTERN_H_
