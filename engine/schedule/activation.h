// Where in a prompt an adapter begins to compute.
#ifndef CHORUS_ENGINE_SCHEDULE_ACTIVATION_H_
#define CHORUS_ENGINE_SCHEDULE_ACTIVATION_H_

#include <cstdint>
#include <optional>
#include <span>

#include "engine/adapters/adapter_version.h"

namespace chorus::engine {

// The first position of `prompt` that the adapter computes: 0, or of an activated LoRA the start of
// the last occurrence of its invocation, in ids. Nullopt where the prompt does not invoke it: the
// base model answers alone. Any thread.
std::optional<int64_t> ActiveFrom(const AdapterVersion& adapter, std::span<const int32_t> prompt);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_ACTIVATION_H_
