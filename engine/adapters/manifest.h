// Manifest: the small text file that says what a tenant's name stands for, the only file of the
// store that is ever replaced. It names objects, never the reverse.
//
//   manifest := "chorus manifest 1\n" field* module+ "end " sha256 "\n"
//   field    := key " " value "\n", each key once and in this order:
//               tenant NAME, name NAME, version N, created NANOSECONDS, pinned 0|1, digest HEX,
//               config HEX BYTES, tensors HEX BYTES, rslora 0|1, invocation ID,ID… ?, base ESCAPED,
//               warning ESCAPED *
//   module   := "module " first-layer " " last-layer " " linear " " rank " " alpha " " scale
//               " " bias "\n"
//
// HEX is 64 lower-case digits; ESCAPED is C-escaped ASCII; alpha and scale are written so that they
// read back to the same bits. The last line is the SHA-256 of all lines above it.
#ifndef CHORUS_ENGINE_ADAPTERS_MANIFEST_H_
#define CHORUS_ENGINE_ADAPTERS_MANIFEST_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/adapters/adapter_spec.h"

namespace chorus::engine {

// Immutable bytes in the store, named by their SHA-256.
struct ObjectName {
  std::string sha256;  // 64 lower-case digits
  uint64_t bytes = 0;

  bool operator==(const ObjectName&) const = default;
};

// Equal modules of neighbouring layers.
struct ModuleRun {
  int32_t first_layer = 0;
  int32_t last_layer = 0;
  kernels::LoraModule module = kernels::kQ;
  int32_t rank = 0;
  double alpha = 0.0;
  float scale = 0.0f;
  bool bias = false;

  bool operator==(const ModuleRun&) const = default;
};

struct Manifest {
  std::string tenant;
  std::string name;
  int64_t version = 0;
  absl::Time created;
  bool pinned = false;
  AdapterDigest digest;
  ObjectName config;
  ObjectName tensors;
  bool use_rslora = false;
  std::vector<int32_t> invocation;  // as AdapterSpec's
  std::string base_model_name_or_path;
  std::vector<std::string> warnings;
  std::vector<ModuleRun> modules;

  std::string Serialize() const;
  // DataLoss naming the first line that is wrong.
  static absl::StatusOr<Manifest> Parse(std::string_view text);

  bool operator==(const Manifest&) const = default;
};

// What `spec` says about ranks and scales, in few lines.
std::vector<ModuleRun> ModuleRunsOf(const AdapterSpec& spec);

// The spec that a manifest keeps: everything but where the tensors lie in their file. DataLoss when
// a layer is not one of the model's `num_layers`.
absl::StatusOr<AdapterSpec> SpecOf(const Manifest& manifest, int32_t num_layers);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_MANIFEST_H_
