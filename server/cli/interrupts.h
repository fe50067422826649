// Ctrl-C as something that can be waited for, instead of the program's end.
#ifndef CHORUS_SERVER_CLI_INTERRUPTS_H_
#define CHORUS_SERVER_CLI_INTERRUPTS_H_

#include <signal.h>

namespace chorus::cli {

// While it lives SIGINT ends nothing; afterwards all is as it was. At most one at a time.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // Readable while an interrupt has come that Take did not take.
  int fd() const { return pipe_[0]; }
  // Whether one came since the last time.
  bool Take();

 private:
  int pipe_[2];
  struct sigaction old_ {};
};

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_INTERRUPTS_H_
