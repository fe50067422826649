// The embedding on a device: one row of the table per token, into the residual stream.
#ifndef CHORUS_KERNELS_EMBEDDING_EMBEDDING_KERNEL_H_
#define CHORUS_KERNELS_EMBEDDING_EMBEDDING_KERNEL_H_

#include <cstdint>

#include "kernels/device/kernel.h"

namespace chorus::kernels {

// All pointers are the device's. T is the kernel's type.
struct EmbeddingParams {
  const int32_t* tokens;  // [rows], each in [0, vocabulary)
  const void* table;      // [vocabulary, hidden] T
  float* residual;        // [rows, hidden], overwritten
  int32_t rows;
  int32_t vocabulary;
  int32_t hidden;  // a multiple of 8
};

// One block a row.
extern const Kernel kEmbeddingBf16;
extern const Kernel kEmbeddingF16;

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_EMBEDDING_EMBEDDING_KERNEL_H_
