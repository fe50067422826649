// Embedding: one row of the table per token. With tied embeddings the table is the packed lm_head.
#ifndef CHORUS_KERNELS_EMBEDDING_EMBEDDING_H_
#define CHORUS_KERNELS_EMBEDDING_EMBEDDING_H_

#include <span>

#include "absl/status/status.h"
#include "kernels/device/stream.h"
#include "kernels/linear/packed_matrix.h"

namespace chorus::kernels {

struct EmbeddingArgs {
  std::span<const int32_t> tokens;      // [rows], each in [0, table->outputs())
  const PackedMatrix* table = nullptr;  // [vocabulary, hidden]
  TensorView y;                         // [rows, hidden] f32, overwritten
};

// InvalidArgument on a token outside the table or shapes that do not fit.
absl::Status Embedding(const EmbeddingArgs& args, const Stream& stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_EMBEDDING_EMBEDDING_H_
