// The "post_processor" of a tokenizer.json: the special tokens around an encoded text. A value
// type, immutable after FromJson.
#ifndef CHORUS_ENGINE_TEXT_POST_PROCESSOR_H_
#define CHORUS_ENGINE_TEXT_POST_PROCESSOR_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/json_fields.h"

namespace chorus::engine {

struct PostProcessor {
  std::vector<int32_t> before, after;  // the text

  // `json` null: nothing. InvalidArgument, naming it, for a type or a template that is not
  // supported.
  static absl::StatusOr<PostProcessor> FromJson(const Json* json);
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_POST_PROCESSOR_H_
