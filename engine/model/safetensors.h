// The header of a safetensors file, checked completely before anything is read through it.
//
//   file   := length:u64le header:length·byte data
//   header := '{' … '}' ' '*      strict JSON: name → {"dtype", "shape", "data_offsets": [begin, end]},
//                                 and optionally "__metadata__": string → string
//
// In order of their offsets the tensors tile the data without holes or overlap, and the file ends
// where the last one does. Names are printable ASCII, no name stands twice, types are the format's,
// and every size is what shape and type call for, computed without overflow.
#ifndef CHORUS_ENGINE_MODEL_SAFETENSORS_H_
#define CHORUS_ENGINE_MODEL_SAFETENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/byte_source.h"
#include "engine/refusal.h"

namespace chorus::engine {

// The defaults are an adapter's; a model's files may have larger headers.
struct SafetensorsLimits {
  uint64_t max_header_bytes = uint64_t{8} << 20;
  size_t max_tensors = 20000;
  Reason reason = Reason::kAdapterFileInvalid;  // of the refusal
};

struct SafetensorsEntry {
  std::string name;             // printable ASCII
  std::string dtype;            // as written: "F32", "BF16", "I64" …
  std::vector<uint64_t> shape;  // at most 8 dimensions
  uint64_t offset = 0;          // of its bytes in the file
  uint64_t bytes = 0;
};

// Entries in ascending order of offset. InvalidArgument beginning with `what` for a file that breaks
// a rule; what the file cannot be read gives passes through. Allocates in proportion to the header.
absl::StatusOr<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(
    const ByteSource& file, const std::string& what, const SafetensorsLimits& limits = {});

// "[16, 4096]"
std::string ShapeText(const std::vector<uint64_t>& shape);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MODEL_SAFETENSORS_H_
