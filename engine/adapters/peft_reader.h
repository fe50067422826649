// Reads a PEFT LoRA adapter (adapter_config.json + adapter_model.safetensors) against the model
// that is served, strictly both ways: a tensor that is not consumed, or a config field that changes
// the mathematics and is not honoured, refuses the adapter by name.
#ifndef CHORUS_ENGINE_ADAPTERS_PEFT_READER_H_
#define CHORUS_ENGINE_ADAPTERS_PEFT_READER_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_spec.h"
#include "engine/model/byte_source.h"
#include "engine/model/model_config.h"

namespace chorus::engine {

// Checks everything (structure, names, shapes, ranks, every value finite), allocates in proportion
// to the header only, and computes the digest in the same pass over the values. A refusal
// (engine/refusal.h) is InvalidArgument; what `tensors` gives when it cannot be read passes
// through. May take seconds for a large file: never on the engine thread.
absl::StatusOr<AdapterSpec> ReadPeftAdapter(std::string_view config_json, const ByteSource& tensors,
                                            const ModelConfig& model);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_PEFT_READER_H_
