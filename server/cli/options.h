// The flags of one command: declared once, with the words that --help shows, parsed from the
// command line. "--name value" and "--name=value" are the same; flags and words may stand in any
// order; after "--" everything is a word.
#ifndef CHORUS_SERVER_CLI_OPTIONS_H_
#define CHORUS_SERVER_CLI_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/cli/console.h"
#include "server/cli/exit_code.h"

namespace chorus::cli {

using Args = std::vector<std::string>;

class OptionSet {
 public:
  // usage: "chorus cancel [flags] REQUEST_ID". about: what the command does, in lines that stay
  // within 100 columns. min_words to max_words are what may stand beside the flags.
  OptionSet(std::string usage, std::string about, size_t min_words, size_t max_words);

  // `value` names what follows the flag ("N"); each target outlives Parse and keeps what it holds
  // when its flag does not come.
  void Add(std::string name, std::string value, std::string help, std::string* target);
  void Add(std::string name, std::string value, std::string help, int32_t* target);
  void Add(std::string name, std::string value, std::string help, int64_t* target);
  void Add(std::string name, std::string value, std::string help, uint64_t* target);
  void Add(std::string name, std::string value, std::string help, float* target);
  // "30", "30s", "500ms", "2m"
  void Add(std::string name, std::string value, std::string help, absl::Duration* target);
  // May come again and again.
  void Add(std::string name, std::string value, std::string help, std::vector<std::string>* target);
  void AddSwitch(std::string name, std::string help, bool* target);
  template <class T>
  void Add(std::string name, std::string value, std::string help, std::optional<T>* target) {
    AddParser(std::move(name), std::move(value), std::move(help), [target](absl::string_view text) {
      T parsed{};
      absl::Status status = ParseValue(text, &parsed);
      if (status.ok()) *target = parsed;
      return status;
    });
  }

  struct Parsed {
    Args words;
    std::optional<ExitCode> exit;  // set: the command is over (help was shown, or a mistake)
  };
  // Fills the targets. Says on the console what is wrong with the command line.
  Parsed Parse(const Args& args, const Console& console) const;

  std::string Help() const;

 private:
  using Parser = std::function<absl::Status(absl::string_view)>;
  struct Option {
    std::string name;   // "--top-k"
    std::string value;  // empty: a switch
    std::string help;
    Parser parser;
  };

  static absl::Status ParseValue(absl::string_view text, std::string* value);
  static absl::Status ParseValue(absl::string_view text, int32_t* value);
  static absl::Status ParseValue(absl::string_view text, int64_t* value);
  static absl::Status ParseValue(absl::string_view text, uint64_t* value);
  static absl::Status ParseValue(absl::string_view text, float* value);
  static absl::Status ParseValue(absl::string_view text, absl::Duration* value);

  template <class T>
  void AddValue(std::string name, std::string value, std::string help, T* target) {
    AddParser(std::move(name), std::move(value), std::move(help),
              [target](absl::string_view text) { return ParseValue(text, target); });
  }
  void AddParser(std::string name, std::string value, std::string help, Parser parser);
  absl::Status Fill(const Args& args, Args* words, bool* help) const;
  absl::Status ApplyFlag(const Args& args, size_t* at) const;

  const std::string usage_;
  const std::string about_;
  const size_t min_words_;
  const size_t max_words_;
  std::vector<Option> options_;
};

// One usage mistake, with the way to help; kUsage.
ExitCode UsageError(const Console& console, absl::string_view command, absl::string_view what);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_OPTIONS_H_
