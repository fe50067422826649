// Where the program reads and writes. Commands see only this, so that tests can be at the other
// end.
#ifndef CHORUS_SERVER_CLI_CONSOLE_H_
#define CHORUS_SERVER_CLI_CONSOLE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace chorus::cli {

// One thread at a time.
class Output {
 public:
  virtual ~Output() = default;

  // All of `text`, at once. A reader that went away ends nothing here; see closed().
  virtual void Write(absl::string_view text) = 0;
  virtual bool closed() const { return false; }

  bool is_terminal() const { return is_terminal_; }
  // Of a terminal; elsewhere what reads well.
  int columns() const { return columns_; }
  int rows() const { return rows_; }

  // `text` dim or in one of a few colours, on a terminal that wants them.
  std::string Dim(absl::string_view text) const { return Styled("2", text); }
  // REQUIRES: index ≥ 0. Neighbouring indices differ.
  std::string Coloured(int index, absl::string_view text) const;

 protected:
  bool is_terminal_ = false;
  bool has_colours_ = false;
  int columns_ = 100;
  int rows_ = 24;

 private:
  std::string Styled(absl::string_view code, absl::string_view text) const;
};

// A file descriptor, which stays its owner's. Colours unless NO_COLOR is set.
class FdOutput : public Output {
 public:
  explicit FdOutput(int fd);

  void Write(absl::string_view text) override;
  bool closed() const override { return closed_; }

 private:
  const int fd_;
  bool closed_ = false;
};

struct Console {
  Output* out = nullptr;
  Output* err = nullptr;
  int in_fd = 0;
  bool in_is_terminal = false;
};

// All that comes from `fd`. InvalidArgument past `max_bytes`; Unavailable when reading fails.
absl::StatusOr<std::string> ReadAll(int fd, size_t max_bytes);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_CONSOLE_H_
