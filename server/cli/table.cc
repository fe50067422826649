#include "server/cli/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "server/cli/printable.h"

namespace chorus::cli {

Table::Table(std::vector<std::string> titles, std::vector<Side> sides) : sides_(std::move(sides)) {
  CHORUS_CHECK_EQ(titles.size(), sides_.size());
  rows_.push_back(std::move(titles));
}

void Table::Add(std::vector<std::string> cells) {
  CHORUS_CHECK_EQ(cells.size(), sides_.size());
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::Text() const {
  std::vector<int> widths(sides_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(static_cast<size_t>(widths[i] - DisplayWidth(row[i])), ' ');
      absl::StrAppend(&line, i == 0 ? "" : "  ", sides_[i] == kRight ? space : "", row[i],
                      sides_[i] == kLeft ? space : "");
    }
    line.resize(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace chorus::cli
