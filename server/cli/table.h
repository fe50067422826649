// Rows of cells under titles, in columns as wide as they need.
#ifndef CHORUS_SERVER_CLI_TABLE_H_
#define CHORUS_SERVER_CLI_TABLE_H_

#include <string>
#include <vector>

namespace chorus::cli {

class Table {
 public:
  enum Side { kLeft, kRight };

  // REQUIRES: as many sides as titles.
  Table(std::vector<std::string> titles, std::vector<Side> sides);

  // REQUIRES: as many cells as titles, without newlines.
  void Add(std::vector<std::string> cells);

  // Lines that end with "\n", without spaces before it. Cells are printable.
  std::string Text() const;

 private:
  const std::vector<Side> sides_;
  std::vector<std::vector<std::string>> rows_;  // the titles first
};

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_TABLE_H_
