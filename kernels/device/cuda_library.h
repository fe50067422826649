// Libraries that come with CUDA and are opened when they are needed (cuBLASLt, NCCL), so that one
// program also starts where there is no CUDA.
#ifndef CHORUS_KERNELS_DEVICE_CUDA_LIBRARY_H_
#define CHORUS_KERNELS_DEVICE_CUDA_LIBRARY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace chorus::kernels {

// Where to look, besides where the dynamic linker does.
struct CudaLibraryPlaces {
  std::string root;         // before /usr; empty but in tests
  std::string home;         // $HOME
  std::string virtual_env;  // $VIRTUAL_ENV

  static CudaLibraryPlaces FromEnvironment();
};

// Patterns of files (glob) in the order of their trial: CUDA's own folders, then NVIDIA's packages
// of every Python there is. The dynamic linker's search comes before them and is not among them.
std::vector<std::string> CudaLibraryPatterns(const CudaLibraryPlaces& places,
                                             absl::string_view name);

// The handle of dlopen for `name`, "libcublasLt.so.13"; it stays open. NotFound names each place
// that was tried and what was wrong with it. Thread-safe.
absl::StatusOr<void*> OpenCudaLibrary(const CudaLibraryPlaces& places, const std::string& name);

// NotFound when the library has no such function.
absl::StatusOr<void*> FindFunction(void* library, const std::string& name);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_CUDA_LIBRARY_H_
