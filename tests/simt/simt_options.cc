#include "tests/simt/simt_options.h"

#include <cstring>

namespace chorus::kernels {

const char* FileName(const char* path) {
  const char* const slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

std::string Name(const Site& site) {
  constexpr const char* kNames[] = {"Sync",     "SyncWarp",    "Guard",
                                    "CopyWait", "CopyCommit",  "BarWait",
                                    "BarFence", "ClusterSync", "WaitForPrior"};
  return std::string(FileName(std::string(site.file).c_str())) + ":" + std::to_string(site.line) +
         " " + kNames[static_cast<size_t>(site.kind)];
}

}  // namespace chorus::kernels
