// Debian's SentencePiece, to compare with. Nothing that includes Abseil may include its header,
// which puts a string_view of its own into namespace absl, and no program with Protocol Buffers may
// link it; see engine/text/sentencepiece_file.h.
#ifndef CHORUS_TESTS_ENGINE_TEXT_SENTENCEPIECE_ORACLE_H_
#define CHORUS_TESTS_ENGINE_TEXT_SENTENCEPIECE_ORACLE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chorus::test {

class SentencePieceOracle {
 public:
  // Ends the program when the library does not take the model.
  explicit SentencePieceOracle(std::string_view model);
  ~SentencePieceOracle();

  std::vector<int> Encode(std::string_view text) const;
  std::string Decode(const std::vector<int>& ids) const;

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_TEXT_SENTENCEPIECE_ORACLE_H_
