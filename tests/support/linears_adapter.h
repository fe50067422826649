// LinearsAdapter: an adapter over all seven linears of a model, in memory.
#ifndef CHORUS_TESTS_SUPPORT_LINEARS_ADAPTER_H_
#define CHORUS_TESTS_SUPPORT_LINEARS_ADAPTER_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_version.h"
#include "engine/model/model_config.h"
#include "kernels/device/pool_view.h"

namespace chorus::test {

// With values from `seed`, for a pool of this geometry; of one size whatever the rank.
absl::StatusOr<engine::AdapterRef> LinearsAdapter(const engine::ModelConfig& model,
                                                  const kernels::PoolView& geometry, int rank,
                                                  uint64_t seed);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_LINEARS_ADAPTER_H_
