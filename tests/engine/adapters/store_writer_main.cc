// store_writer DIRECTORY SEED FORGET: see store_writer.h. Ended from outside.
#include <cstdio>
#include <cstdlib>

#include "tests/engine/adapters/store_writer.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const absl::Status status =
      chorus::test::WriteForEver(argv[1], std::strtoull(argv[2], nullptr, 10), argv[3]);
  std::fprintf(stderr, "store_writer: %s\n", status.ToString().c_str());
  return 1;
}
