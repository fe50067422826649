// How the program ends, for scripts.
#ifndef CHORUS_SERVER_CLI_EXIT_CODE_H_
#define CHORUS_SERVER_CLI_EXIT_CODE_H_

namespace chorus::cli {

enum class ExitCode : int {
  kOk = 0,
  kRefused = 1,      // the server said no, or the answer broke off
  kUsage = 2,        // the command line, or a file that it names
  kUnreachable = 3,  // no server there
};

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_EXIT_CODE_H_
