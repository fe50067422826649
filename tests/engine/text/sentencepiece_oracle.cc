#include "tests/engine/text/sentencepiece_oracle.h"

#include <sentencepiece_processor.h>

#include <cstdio>
#include <cstdlib>

namespace chorus::test {
namespace {

void Require(const sentencepiece::util::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "SentencePiece: %s\n", status.ToString().c_str());
  std::abort();
}

}  // namespace

struct SentencePieceOracle::Library {
  sentencepiece::SentencePieceProcessor processor;
};

SentencePieceOracle::SentencePieceOracle(std::string_view model)
    : library_(std::make_unique<Library>()) {
  Require(library_->processor.LoadFromSerializedProto(model));
}

SentencePieceOracle::~SentencePieceOracle() = default;

std::vector<int> SentencePieceOracle::Encode(std::string_view text) const {
  std::vector<int> ids;
  Require(library_->processor.Encode(text, &ids));
  return ids;
}

std::string SentencePieceOracle::Decode(const std::vector<int>& ids) const {
  std::string text;
  Require(library_->processor.Decode(ids, &text));
  return text;
}

}  // namespace chorus::test
