// Early return on errors, for absl::Status and absl::StatusOr (Abseil 20220623 has no such macros).
#ifndef CHORUS_KERNELS_STATUS_MACROS_H_
#define CHORUS_KERNELS_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define CHORUS_STATUS_CONCAT_INNER_(a, b) a##b
#define CHORUS_STATUS_CONCAT_(a, b) CHORUS_STATUS_CONCAT_INNER_(a, b)

// Evaluates `expr` once; returns its status from the enclosing function when it is not OK.
#define CHORUS_RETURN_IF_ERROR(expr)                                                       \
  do {                                                                                     \
    if (absl::Status chorus_status_ = (expr); !chorus_status_.ok()) return chorus_status_; \
  } while (false)

// CHORUS_ASSIGN_OR_RETURN(auto x, F()): assigns the value of a StatusOr or returns its status.
#define CHORUS_ASSIGN_OR_RETURN(lhs, expr) \
  CHORUS_ASSIGN_OR_RETURN_IMPL_(CHORUS_STATUS_CONCAT_(chorus_statusor_, __LINE__), lhs, expr)
#define CHORUS_ASSIGN_OR_RETURN_IMPL_(statusor, lhs, expr) \
  auto statusor = (expr);                                  \
  if (!statusor.ok()) return std::move(statusor).status(); \
  lhs = *std::move(statusor)

#endif  // CHORUS_KERNELS_STATUS_MACROS_H_
