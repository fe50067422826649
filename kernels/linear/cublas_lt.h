// The functions of cuBLASLt that we call, taken from the library when it is opened. Includes CUDA;
// for the .cc files of this folder only.
#ifndef CHORUS_KERNELS_LINEAR_CUBLAS_LT_H_
#define CHORUS_KERNELS_LINEAR_CUBLAS_LT_H_

#include <cublasLt.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace chorus::kernels {

struct CublasLt {
  // NotFound when there is no libcublasLt.so.13, naming where it was looked for. Opened once.
  static absl::StatusOr<const CublasLt*> Open();

  // Internal with the library's name for `status` unless it is a success.
  absl::Status Check(cublasStatus_t status, absl::string_view what) const;

  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtGetVersion) version = nullptr;
  decltype(&cublasLtGetStatusName) status_name = nullptr;
  decltype(&cublasLtMatmulDescCreate) desc_create = nullptr;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristics = nullptr;
  decltype(&cublasLtMatmulAlgoCheck) algorithm_check = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
};

// Handles that are given back when they go.
template <class T>
using LtHandle = std::unique_ptr<T, cublasStatus_t (*)(T*)>;
using LtMatmulDesc = LtHandle<cublasLtMatmulDescOpaque_t>;
using LtMatrixLayout = LtHandle<cublasLtMatrixLayoutOpaque_t>;
using LtPreference = LtHandle<cublasLtMatmulPreferenceOpaque_t>;

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LINEAR_CUBLAS_LT_H_
