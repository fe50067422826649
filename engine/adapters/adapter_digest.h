// The digest of an adapter: what it is, whatever file it came in. The grammar can never change,
// because caches, clients and metrics carry its values.
//
//   digest  := SHA-256 of  "chorus adapter 1\n" tensor* "\n" modules
//   tensor  := name "\n" dtype "\n" shape "\n" bytes      in ascending order of name
//   name    := PEFT's name, normalised: "base_model.model." … ".lora_A.weight"
//   dtype   := "F32" | "F16" | "BF16";  shape := decimal numbers joined by "x"
//   bytes   := the tensor's data as uploaded
//   modules := canonical JSON, a list of
//   {"alpha":A,"bias":false,"module":"…","rank":R,"rslora":false}
//              per linear in order of (layer, module); A printed as %.17g; no spaces
#ifndef CHORUS_ENGINE_ADAPTERS_ADAPTER_DIGEST_H_
#define CHORUS_ENGINE_ADAPTERS_ADAPTER_DIGEST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/adapter_spec.h"
#include "engine/model/byte_source.h"

namespace chorus::engine {

struct DigestTensor {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

absl::StatusOr<AdapterDigest> ComputeDigest(std::vector<DigestTensor> tensors,
                                            const AdapterSpec& spec, const ByteSource& file);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_ADAPTER_DIGEST_H_
