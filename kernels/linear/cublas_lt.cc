#include "kernels/linear/cublas_lt.h"

#include "absl/strings/str_cat.h"
#include "kernels/device/cuda_library.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

constexpr const char* kLibrary = "libcublasLt.so.13";
static_assert(CUBLAS_VER_MAJOR == 13, "the library's name follows the headers' major version");

template <class Function>
absl::Status Take(void* library, const char* name, Function* function) {
  CHORUS_ASSIGN_OR_RETURN(void* const found, FindFunction(library, name));
  *function = reinterpret_cast<Function>(found);
  return absl::OkStatus();
}

absl::Status TakeAll(void* library, CublasLt* lt) {
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtCreate", &lt->create));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtDestroy", &lt->destroy));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtGetVersion", &lt->version));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtGetStatusName", &lt->status_name));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtMatmulDescCreate", &lt->desc_create));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtMatmulDescDestroy", &lt->desc_destroy));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtMatmulDescSetAttribute", &lt->desc_set));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtMatrixLayoutCreate", &lt->layout_create));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtMatrixLayoutDestroy", &lt->layout_destroy));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtMatmulPreferenceCreate", &lt->preference_create));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtMatmulPreferenceDestroy", &lt->preference_destroy));
  CHORUS_RETURN_IF_ERROR(
      Take(library, "cublasLtMatmulPreferenceSetAttribute", &lt->preference_set));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtMatmulAlgoGetHeuristic", &lt->heuristics));
  CHORUS_RETURN_IF_ERROR(Take(library, "cublasLtMatmulAlgoCheck", &lt->algorithm_check));
  return Take(library, "cublasLtMatmul", &lt->matmul);
}

absl::StatusOr<CublasLt> OpenOnce() {
  CHORUS_ASSIGN_OR_RETURN(void* const library,
                          OpenCudaLibrary(CudaLibraryPlaces::FromEnvironment(), kLibrary));
  CublasLt lt;
  CHORUS_RETURN_IF_ERROR(TakeAll(library, &lt));
  return lt;
}

}  // namespace

absl::StatusOr<const CublasLt*> CublasLt::Open() {
  static const absl::StatusOr<CublasLt> opened = OpenOnce();
  if (!opened.ok()) return opened.status();
  return &*opened;
}

absl::Status CublasLt::Check(cublasStatus_t status, absl::string_view what) const {
  if (status == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(what, ": ", status_name(status)));
}

}  // namespace chorus::kernels
