#include "server/cli/console.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace chorus::cli {

std::string Output::Styled(absl::string_view code, absl::string_view text) const {
  if (!has_colours_ || text.empty()) return std::string(text);
  return absl::StrCat("\x1b[", code, "m", text, "\x1b[0m");
}

std::string Output::Coloured(int index, absl::string_view text) const {
  // Cyan, yellow, magenta, green, blue, red: all readable on dark and on light.
  static constexpr std::array<absl::string_view, 6> kCodes = {"1;36", "1;33", "1;35",
                                                              "1;32", "1;34", "1;31"};
  return Styled(kCodes[static_cast<size_t>(index) % kCodes.size()], text);
}

FdOutput::FdOutput(int fd) : fd_(fd) {
  const char* kind = std::getenv("TERM");
  const bool dumb = kind == nullptr || absl::string_view(kind) == "dumb";
  is_terminal_ = isatty(fd) == 1 && !dumb;
  if (!is_terminal_) return;
  const char* no_colour = std::getenv("NO_COLOR");
  has_colours_ = no_colour == nullptr || *no_colour == '\0';
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
    columns_ = size.ws_col;
    rows_ = size.ws_row;
  }
}

void FdOutput::Write(absl::string_view text) {
  while (!text.empty() && !closed_) {
    const ssize_t written = write(fd_, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // Whoever shares the terminal or pipe with us may have made it so.
      pollfd wait = {fd_, POLLOUT, 0};
      poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      closed_ = true;
    }
  }
}

absl::StatusOr<std::string> ReadAll(int fd, size_t max_bytes) {
  std::string all;
  std::array<char, 16384> slice;
  for (;;) {
    const ssize_t got = read(fd, slice.data(), slice.size());
    if (got == 0) return all;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return absl::UnavailableError(absl::StrCat("standard input: ", std::strerror(errno)));
    }
    all.append(slice.data(), static_cast<size_t>(got));
    if (all.size() > max_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("standard input: more than ", max_bytes, " bytes"));
    }
  }
}

}  // namespace chorus::cli
