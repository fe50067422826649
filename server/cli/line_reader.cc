#include "server/cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace chorus::cli {

LineReader::Event LineReader::Next(std::string* line) {
  for (;;) {
    const size_t newline = pending_.find('\n');
    if (newline != std::string::npos || (ended_ && !pending_.empty())) {
      *line = pending_.substr(0, newline);
      pending_.erase(0, newline == std::string::npos ? newline : newline + 1);
      return Event::kLine;
    }
    if (ended_) return Event::kEnd;
    pollfd waits[] = {{fd_, POLLIN, 0}, {interrupts_->fd(), POLLIN, 0}};
    if (poll(waits, 2, -1) < 0) {
      if (errno == EINTR) continue;
      ended_ = true;
      continue;
    }
    if (waits[1].revents != 0 && interrupts_->Take()) return Event::kInterrupt;
    if (waits[0].revents == 0) continue;
    char bytes[4096];
    const ssize_t got = read(fd_, bytes, sizeof(bytes));
    if (got > 0) {
      pending_.append(bytes, static_cast<size_t>(got));
    } else if (got == 0 || errno != EINTR) {
      ended_ = true;
    }
  }
}

}  // namespace chorus::cli
