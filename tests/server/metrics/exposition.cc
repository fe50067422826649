#include "tests/server/metrics/exposition.h"

#include <cctype>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace chorus::test {
namespace {

bool IsNameStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }

// Reads one sample line from left to right.
class SampleReader {
 public:
  explicit SampleReader(absl::string_view line) : rest_(line) {}

  bool Read(std::string* name, Labels* labels, double* value) {
    if (!ReadName(true, name)) return false;
    if (absl::ConsumePrefix(&rest_, "{") && !ReadLabels(labels)) return false;
    return absl::ConsumePrefix(&rest_, " ") && absl::SimpleAtod(rest_, value);
  }

 private:
  bool ReadName(bool colons, std::string* name) {
    size_t size = 0;
    const auto fits = [&](char c) {
      return IsNameStart(c) || (colons && c == ':') ||
             (size > 0 && std::isdigit(static_cast<unsigned char>(c)));
    };
    while (size < rest_.size() && fits(rest_[size])) ++size;
    *name = std::string(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return size > 0;
  }

  bool ReadLabels(Labels* labels) {
    while (!absl::ConsumePrefix(&rest_, "}")) {
      if (!labels->empty() && !absl::ConsumePrefix(&rest_, ",")) return false;
      std::string key, value;
      if (!ReadName(false, &key) || !absl::ConsumePrefix(&rest_, "=\"")) return false;
      if (!ReadValue(&value) || !labels->emplace(key, value).second) return false;
    }
    return true;
  }

  bool ReadValue(std::string* value) {
    while (!absl::ConsumePrefix(&rest_, "\"")) {
      if (rest_.empty()) return false;
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '\\') {
        if (rest_.empty() || !absl::StrContains("\\\"n", rest_.substr(0, 1))) return false;
        c = rest_.front() == 'n' ? '\n' : rest_.front();
        rest_.remove_prefix(1);
      }
      value->push_back(c);
    }
    return true;
  }

  absl::string_view rest_;
};

bool BelongsTo(const std::string& family, const std::string& type, const std::string& sample) {
  if (type != "histogram" && type != "summary") return sample == family;
  return sample == family + "_count" || sample == family + "_sum" ||
         sample == (type == "histogram" ? family + "_bucket" : family);
}

}  // namespace

absl::StatusOr<std::map<std::string, ExposedFamily>> ParseExposition(const std::string& text) {
  std::map<std::string, ExposedFamily> families;
  std::string current;
  std::string help;
  const auto bad = [](absl::string_view line) {
    return absl::InvalidArgumentError(absl::StrCat("exposition: ", line));
  };
  if (!text.empty() && text.back() != '\n') return bad("no newline at the end");
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.empty()) continue;
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, "# HELP ")) {
      help = std::string(rest.substr(std::min(rest.find(' '), rest.size())));
    } else if (absl::ConsumePrefix(&rest, "# TYPE ")) {
      const std::vector<std::string> words = absl::StrSplit(rest, ' ');
      if (words.size() != 2) return bad(line);
      current = words[0];
      if (!families.emplace(current, ExposedFamily{words[1], help, {}}).second) return bad(line);
    } else {
      std::string name;
      Labels labels;
      double value = 0;
      if (!SampleReader(line).Read(&name, &labels, &value)) return bad(line);
      const auto family = families.find(current);
      if (family == families.end() || !BelongsTo(current, family->second.type, name)) {
        return bad(line);
      }
      if (!family->second.samples.emplace(std::pair(name, labels), value).second) return bad(line);
    }
  }
  return families;
}

}  // namespace chorus::test
