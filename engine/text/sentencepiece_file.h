// A tokenizer.model: SentencePiece's ModelProto, read and checked. The library itself cannot be
// used: Debian's exports the symbols of its own older Protocol Buffers, and a process that also
// links the ones of gRPC dies when it loads a model. So the file is read here, and the algorithms
// (sentencepiece_model.h) are ours, tested against the library in a program without gRPC.
#ifndef CHORUS_ENGINE_TEXT_SENTENCEPIECE_FILE_H_
#define CHORUS_ENGINE_TEXT_SENTENCEPIECE_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace chorus::engine {

struct SentencePieceFile {
  // Numbers of ModelProto.SentencePiece.Type.
  enum class Kind {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  struct Piece {
    std::string text;  // not empty
    float score = 0;   // finite
    Kind kind = Kind::kNormal;
  };

  std::vector<Piece> pieces;  // by id; exactly one is kUnknown
  int32_t unknown_id = -1;
  std::vector<int32_t> byte_ids;  // [256] where the model falls back to bytes, else empty
  std::string unknown_surface = " \u2047 ";
  std::string bos = "<s>", eos = "</s>";
  std::string precompiled_charsmap;  // see charsmap.h; empty: none
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;

  // InvalidArgument, naming field or piece, when `bytes` are malformed or ask for something that is
  // not supported (models other than BPE, whitespace as suffix or not escaped, denormalisation).
  static absl::StatusOr<SentencePieceFile> Parse(std::string_view bytes);
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_SENTENCEPIECE_FILE_H_
