// A model directory that chorusd serves in milliseconds: a tiny random Llama in f32 with a
// byte-level tokenizer and a chat template.
#ifndef CHORUS_TESTS_SUPPORT_SERVING_DIR_H_
#define CHORUS_TESTS_SUPPORT_SERVING_DIR_H_

#include <cstdint>
#include <string>

namespace chorus::test {

// Ids 0 to 255 are the bytes; then come "th", "the", " the", and two special tokens.
inline constexpr int32_t kServingStart = 259;         // "<|start|>"
inline constexpr int32_t kServingEnd = 260;           // "<|end|>", which ends a sequence
inline constexpr int32_t kServingTokens = 261;        // of the tokenizer
inline constexpr int32_t kServingVocabulary = 264;    // of the model, which knows three more
inline constexpr int32_t kServingPositions = 32'768;  // seconds of one answer

// The CPU takes heads of any size, a GPU's attention does not.
enum class ServingHeads { kSmall, kOfGpus };

// REQUIRES: `dir` exists.
void WriteServingDir(const std::string& dir, ServingHeads heads = ServingHeads::kSmall);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_SERVING_DIR_H_
