// Lines from a terminal or a pipe, with an ear for Ctrl-C.
#ifndef CHORUS_SERVER_CLI_LINE_READER_H_
#define CHORUS_SERVER_CLI_LINE_READER_H_

#include <string>

#include "server/cli/interrupts.h"

namespace chorus::cli {

class LineReader {
 public:
  // Both outlive the reader.
  LineReader(int fd, Interrupts* interrupts) : fd_(fd), interrupts_(interrupts) {}

  enum class Event { kLine, kEnd, kInterrupt };
  // Waits for a line (*line, without its newline; the last one needs none), the end of the input,
  // or an interrupt, which it takes.
  Event Next(std::string* line);

 private:
  const int fd_;
  Interrupts* const interrupts_;
  std::string pending_;
  bool ended_ = false;
};

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_LINE_READER_H_
