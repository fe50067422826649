// Which numbers a request may carry: one table, from which requests are checked and the checks are
// tested. The comments of inference.proto say the same in words.
#ifndef CHORUS_SERVER_GENERATE_FIELD_RANGES_H_
#define CHORUS_SERVER_GENERATE_FIELD_RANGES_H_

#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace chorus::server {

struct FieldRange {
  std::string_view path;  // in GenerateRequest: "sampling.top_p"
  double least = 0.0;
  double most = 0.0;
  bool above_least = false;  // the least itself is out
};

std::span<const FieldRange> GenerateRanges();

// InvalidArgument (VALUE_OUT_OF_RANGE) for the first field that is set and lies outside its range;
// NaN lies outside every range. REQUIRES: a chorus.v1.GenerateRequest.
absl::Status CheckRanges(const google::protobuf::Message& request);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GENERATE_FIELD_RANGES_H_
