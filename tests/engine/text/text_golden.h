// What Hugging Face tokenizers made of a corpus, as tests/golden/text/make_text_goldens.py recorded
// it, and the tokenizers it was recorded with. One thread.
#ifndef CHORUS_TESTS_ENGINE_TEXT_TEXT_GOLDEN_H_
#define CHORUS_TESTS_ENGINE_TEXT_TEXT_GOLDEN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer.h"

namespace chorus::test {

// Six hexadecimal digits each.
struct TextDigest {
  std::string ids, texts;
};

// The tokenizers that lie in tests/golden/text/data: three of a tokenizer.json, variants of these,
// and some of a tokenizer.model.
std::vector<std::string> GoldenTokenizers();
// One of them, or "smollm2": the demonstration model's, NotFound where that is not there.
absl::StatusOr<std::unique_ptr<engine::Tokenizer>> LoadGoldenTokenizer(const std::string& name);
// The tokenizer.json of one that has it.
std::string GoldenTokenizerJson(const std::string& name);
// The bytes of a tokenizer.model: "llama2" or "rules".
std::string GoldenSentencePiece(const std::string& model);

// The lines of the corpus, then the code points of the planes that are in use.
std::vector<std::string> GoldenTexts();
// Short sequences of any ids below `size`.
std::vector<std::vector<int32_t>> GoldenIdSequences(int32_t size);
// First those of GoldenTexts(), then those of GoldenIdSequences().
std::vector<TextDigest> GoldenDigests(const std::string& name);

// As make_text_goldens.py computes them.
std::string DigestOfIds(const std::vector<std::vector<int32_t>>& lists);
std::string DigestOfTexts(const std::vector<std::string>& texts);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_TEXT_TEXT_GOLDEN_H_
