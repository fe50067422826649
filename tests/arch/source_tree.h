// The project's own source files, as the tests of its structure see them.
#ifndef CHORUS_TESTS_ARCH_SOURCE_TREE_H_
#define CHORUS_TESTS_ARCH_SOURCE_TREE_H_

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace chorus {

struct SourceFile {
  std::string path;  // from the project's root, "engine/engine.h"
  std::vector<std::string> lines;
};

// All C++ and CUDA files below the given top-level folders.
inline std::vector<SourceFile> ReadSources(const std::vector<std::string>& folders) {
  namespace fs = std::filesystem;
  const fs::path root = CHORUS_SOURCE_DIR;
  std::vector<SourceFile> files;
  for (const std::string& folder : folders) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc" && extension != ".cu" && extension != ".cuh") {
        continue;
      }
      SourceFile file{fs::relative(entry.path(), root).string(), {}};
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) file.lines.push_back(line);
      files.push_back(std::move(file));
    }
  }
  return files;
}

}  // namespace chorus

#endif  // CHORUS_TESTS_ARCH_SOURCE_TREE_H_
