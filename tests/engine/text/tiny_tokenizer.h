// A tokenizer.json of three letters, to be changed by the tests that want it wrong or different.
#ifndef CHORUS_TESTS_ENGINE_TEXT_TINY_TOKENIZER_H_
#define CHORUS_TESTS_ENGINE_TEXT_TINY_TOKENIZER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer.h"
#include "nlohmann/json.hpp"
#include "tests/support/tiny_model.h"

namespace chorus::test {

inline nlohmann::json TinyTokenizer() {
  return nlohmann::json::parse(R"({
    "version": "1.0",
    "added_tokens": [
      {"id": 6, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
       "normalized": false, "special": true},
      {"id": 7, "content": "<call>", "single_word": false, "lstrip": false, "rstrip": false,
       "normalized": false, "special": false}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "unk_token": "?",
              "vocab": {"?": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5},
              "merges": [["a", "b"], ["ab", "c"]]}})");
}

// TinyTokenizer() with an RFC 7386 merge patch.
inline nlohmann::json Patched(const std::string& patch) {
  nlohmann::json tokenizer = TinyTokenizer();
  tokenizer.merge_patch(nlohmann::json::parse(patch));
  return tokenizer;
}

// What Tokenizer::Load makes of these texts; an empty config is not written.
inline absl::StatusOr<std::unique_ptr<engine::Tokenizer>> LoadTokenizer(
    const std::string& tokenizer_json, const std::string& config = "") {
  const TempDir dir;
  WriteFile(dir.path() + "/tokenizer.json", tokenizer_json);
  if (!config.empty()) WriteFile(dir.path() + "/tokenizer_config.json", config);
  return engine::Tokenizer::Load(dir.path());
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_TEXT_TINY_TOKENIZER_H_
