#include "tests/support/linears_adapter.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/status_macros.h"
#include "tests/support/adapter_builder.h"
#include "tests/support/memory_adapter.h"

namespace chorus::test {

absl::StatusOr<engine::AdapterRef> LinearsAdapter(const engine::ModelConfig& model,
                                                  const kernels::PoolView& geometry, int rank,
                                                  uint64_t seed) {
  BuildOptions options;
  options.targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  options.rank = rank;
  options.alpha = 8.0 * std::sqrt(rank);
  options.dtype = "BF16";
  options.seed = seed;
  options.scale = 0.25f;
  const AdapterFiles files = BuildAdapter(model, options);
  CHORUS_ASSIGN_OR_RETURN(
      std::shared_ptr<const MemoryAdapter> adapter,
      MemoryAdapter::Make("tenant", absl::StrCat("rank-", rank), files.config_text(),
                          files.tensor_file(), model, geometry));
  return engine::AdapterRef(std::move(adapter));
}

}  // namespace chorus::test
