#include "kernels/linear/linear_choices.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "kernels/check.h"

namespace chorus::kernels {
namespace {

constexpr absl::string_view kHeader = "chorus linear choices 1";

std::optional<LinearChoice> ParseChoice(const std::vector<std::string>& fields) {
  LinearChoice choice;
  if (fields.size() != 4 || !absl::SimpleAtod(fields[1], &choice.us) ||
      !absl::SimpleAtoi(fields[2], &choice.workspace_bytes)) {
    return std::nullopt;
  }
  const std::vector<std::string> words = absl::StrSplit(fields[3], ' ');
  if (words.size() != choice.algorithm.size()) return std::nullopt;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i].size() != 16 || !absl::SimpleHexAtoi(words[i], &choice.algorithm[i])) {
      return std::nullopt;
    }
  }
  return choice;
}

absl::Status FileError(absl::string_view what, const std::string& path) {
  return absl::InternalError(absl::StrCat(what, " ", path, ": ", std::strerror(errno)));
}

}  // namespace

absl::Status LinearChoices::Load(const std::string& path) {
  if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) return absl::OkStatus();
  std::ifstream file(path);
  if (!file) return FileError("cannot read", path);
  std::map<std::string, LinearChoice> read;
  std::string line;
  int number = 0;
  while (std::getline(file, line)) {
    ++number;
    const std::vector<std::string> fields = absl::StrSplit(line, '\t');
    const auto choice = number == 1 ? std::nullopt : ParseChoice(fields);
    if (number == 1 ? line != kHeader : !choice.has_value()) {
      return absl::DataLossError(
          absl::StrCat(path, ": line ", number, " is not a choice of GEMMs"));
    }
    if (number > 1) read[fields[0]] = *choice;
  }
  if (number == 0) return absl::DataLossError(absl::StrCat(path, ": empty"));
  for (auto& [key, choice] : read) choices_.insert_or_assign(key, choice);
  return absl::OkStatus();
}

absl::Status LinearChoices::Save(const std::string& path) const {
  const std::string part = absl::StrCat(path, ".", getpid(), ".part");
  {
    std::ofstream file(part, std::ios::trunc);
    file << kHeader << "\n";
    for (const auto& [key, choice] : choices_) {
      file << key << "\t" << absl::StrFormat("%.3f", choice.us) << "\t" << choice.workspace_bytes;
      for (size_t i = 0; i < choice.algorithm.size(); ++i) {
        file << (i == 0 ? "\t" : " ") << absl::StrFormat("%016x", choice.algorithm[i]);
      }
      file << "\n";
    }
    file.flush();
    if (!file) {
      const absl::Status status = FileError("cannot write", part);
      std::remove(part.c_str());
      return status;
    }
  }
  if (std::rename(part.c_str(), path.c_str()) == 0) return absl::OkStatus();
  const absl::Status status = FileError("cannot replace", path);
  std::remove(part.c_str());
  return status;
}

const LinearChoice* LinearChoices::Find(const std::string& key) const {
  const auto it = choices_.find(key);
  return it == choices_.end() ? nullptr : &it->second;
}

void LinearChoices::Set(const std::string& key, const LinearChoice& choice) {
  CHORUS_CHECK_EQ(key.find_first_of("\t\n\r"), std::string::npos);
  choices_.insert_or_assign(key, choice);
}

}  // namespace chorus::kernels
