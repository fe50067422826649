// The digest of an adapter: what it is, whatever file it came in. The grammar can never change,
// because caches, clients and metrics carry its values.
//
//   digest  := SHA-256 of  "chorus adapter 1\n" tensor* "\n" modules alora?
//   tensor  := name "\n" dtype "\n" shape "\n" bytes      in ascending order of name, byte by byte
//   name    := PEFT's name, normalised: "base_model.model." … ".lora_A.weight"
//   dtype   := "F32" | "F16" | "BF16"
//   shape   := decimal numbers joined by "x"
//   bytes   := the tensor's data as uploaded: as many as dtype and shape say
//   modules := canonical JSON, a list of  {"alpha":A,"bias":B,"module":M,"rank":R,"rslora":S}
//              in ascending order of (layer, module): A as C's %.17g prints it, 0 without a sign;
//              B and S true or false; M "layers.3.self_attn.q_proj"; R decimal; no spaces
//   alora   := "\n" canonical JSON  {"alora_invocation_tokens":[…]}: only of an activated LoRA, so
//              that the digests of all others are what they were before there were any
#ifndef CHORUS_ENGINE_ADAPTERS_ADAPTER_DIGEST_H_
#define CHORUS_ENGINE_ADAPTERS_ADAPTER_DIGEST_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/adapters/adapter_spec.h"
#include "engine/adapters/sha256.h"

namespace chorus::engine {

// Computes a digest as the tensors stream by. One thread at a time.
class DigestBuilder {
 public:
  DigestBuilder() { hash_.Add("chorus adapter 1\n"); }

  // Begins a tensor; its data follow in any number of pieces.
  // REQUIRES: names ascend.
  void BeginTensor(std::string_view name, std::string_view dtype,
                   const std::vector<uint64_t>& shape);
  void AddData(std::span<const std::byte> bytes) { hash_.Add(bytes); }
  // Call once, with all of `spec` but its digest. REQUIRES: its modules ascend by (layer, module).
  AdapterDigest Finish(const AdapterSpec& spec);

 private:
  Sha256 hash_;
  std::string last_name_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_ADAPTER_DIGEST_H_
