#include "kernels/device/cuda_library.h"

#include <dlfcn.h>
#include <glob.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace chorus::kernels {
namespace {

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The newest version first, as far as names tell.
std::vector<std::string> Matches(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  std::reverse(paths.begin(), paths.end());
  return paths;
}

void* TryOpen(const std::string& path, std::vector<std::string>& failures) {
  dlerror();
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const error = dlerror();
    failures.push_back(absl::StrCat(path, " (", error == nullptr ? "unknown error" : error, ")"));
  }
  return library;
}

}  // namespace

CudaLibraryPlaces CudaLibraryPlaces::FromEnvironment() {
  return {.root = "", .home = Variable("HOME"), .virtual_env = Variable("VIRTUAL_ENV")};
}

std::vector<std::string> CudaLibraryPatterns(const CudaLibraryPlaces& places,
                                             absl::string_view name) {
  std::vector<std::string> patterns = {
      absl::StrCat(places.root, "/usr/local/cuda/lib64/", name),
      absl::StrCat(places.root, "/usr/local/cuda-*/lib64/", name),
  };
  std::vector<std::string> pythons;
  if (!places.virtual_env.empty()) {
    pythons.push_back(absl::StrCat(places.virtual_env, "/lib/python3*/site-packages"));
  }
  if (!places.home.empty()) {
    pythons.push_back(absl::StrCat(places.home, "/.local/lib/python3*/site-packages"));
  }
  for (const char* const folder :
       {"/usr/local/lib/python3*/site-packages", "/usr/local/lib/python3*/dist-packages",
        "/usr/lib/python3*/site-packages", "/usr/lib/python3*/dist-packages"}) {
    pythons.push_back(absl::StrCat(places.root, folder));
  }
  for (const std::string& python : pythons) {
    patterns.push_back(absl::StrCat(python, "/nvidia/cu13/lib/", name));
  }
  return patterns;
}

absl::StatusOr<void*> OpenCudaLibrary(const CudaLibraryPlaces& places, const std::string& name) {
  std::vector<std::string> failures;
  if (void* const library = TryOpen(name, failures)) return library;
  for (const std::string& pattern : CudaLibraryPatterns(places, name)) {
    const std::vector<std::string> paths = Matches(pattern);
    if (paths.empty()) failures.push_back(absl::StrCat(pattern, " (not there)"));
    for (const std::string& path : paths) {
      if (void* const library = TryOpen(path, failures)) return library;
    }
  }
  return absl::NotFoundError(
      absl::StrCat(name, " cannot be opened; tried ", absl::StrJoin(failures, ", ")));
}

absl::StatusOr<void*> FindFunction(void* library, const std::string& name) {
  if (void* const function = dlsym(library, name.c_str())) return function;
  return absl::NotFoundError(absl::StrCat("no function ", name));
}

}  // namespace chorus::kernels
