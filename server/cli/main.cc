// chorus, the command-line client.
#include <unistd.h>

#include <cstdlib>

#include "server/cli/chorus.h"

int main(int argc, char** argv) {
  // gRPC's own log would stand between the lines; what matters of it comes with each status.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  chorus::cli::FdOutput out(STDOUT_FILENO);
  chorus::cli::FdOutput err(STDERR_FILENO);
  const chorus::cli::Console console{&out, &err, STDIN_FILENO, isatty(STDIN_FILENO) == 1};
  return static_cast<int>(
      chorus::cli::RunChorus(chorus::cli::Args(argv + 1, argv + argc), console));
}
