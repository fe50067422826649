// Where an adapter's weights are, as operators see it.
#ifndef CHORUS_ENGINE_ADAPTERS_RESIDENCY_STATE_H_
#define CHORUS_ENGINE_ADAPTERS_RESIDENCY_STATE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/adapters/adapter_spec.h"

namespace chorus::engine {

// kArriving: all that is left of the load is copies to the device, which steps can wait for.
enum class ResidencyState { kDisk, kLoading, kArriving, kResident, kCancelling };

// One tenant's adapter content. Two tenants with the same content have two residents, so that
// neither can tell from timing what the other has.
using AdapterKey = std::pair<std::string, AdapterDigest>;

struct AdapterResidency {
  std::string tenant;
  std::string name;
  int64_t version = 0;
  AdapterDigest digest;
  ResidencyState state = ResidencyState::kDisk;
  int64_t pages = 0;
  int32_t max_rank = 0;
  int32_t running = 0;  // sequences that hold it, while it loads too
  int32_t waiting = 0;  // sequences queued for it
  bool pinned = false;
};

// What became of residents, in this order.
struct ResidencyChanges {
  std::vector<AdapterKey> gone;
  std::vector<AdapterResidency> now;  // new ones, and those that changed
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_RESIDENCY_STATE_H_
