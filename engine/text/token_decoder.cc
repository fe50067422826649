#include "engine/text/token_decoder.h"

#include <utility>

#include "engine/text/decoder_stage.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

// The end of the chain: collects the text.
class Collector : public DecoderStageState {
 public:
  void Fragment(std::string_view text) override { text_.append(text); }
  void EndString() override {}
  void EndSequence() override {}
  void MoveTo(std::string* out) {
    out->append(text_);
    text_.clear();
  }

 private:
  std::string text_;
};

}  // namespace

TokenDecoder::TokenDecoder() = default;
TokenDecoder::TokenDecoder(TokenDecoder&&) noexcept = default;
TokenDecoder& TokenDecoder::operator=(TokenDecoder&&) noexcept = default;
TokenDecoder::~TokenDecoder() = default;

TokenDecoder::Stream::Stream() = default;
TokenDecoder::Stream::Stream(Stream&&) noexcept = default;
TokenDecoder::Stream& TokenDecoder::Stream::operator=(Stream&&) noexcept = default;
TokenDecoder::Stream::~Stream() = default;

absl::StatusOr<TokenDecoder> TokenDecoder::FromJson(const Json* json) {
  TokenDecoder decoder;
  if (json == nullptr) {
    decoder.stages_.push_back(DecoderStage::JoinWithBlanks());
    return decoder;
  }
  CHORUS_ASSIGN_OR_RETURN(const std::vector<const Json*> leaves,
                          FlattenSequence(json, "decoders", "decoder"));
  for (const Json* const leaf : leaves) {
    CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<const DecoderStage> stage,
                            DecoderStage::FromJson(*leaf));
    decoder.stages_.push_back(std::move(stage));
  }
  return decoder;
}

TokenDecoder::Stream TokenDecoder::NewStream() const {
  Stream stream;
  for (const auto& stage : stages_) stream.states_.push_back(stage->NewState());
  stream.states_.push_back(std::make_unique<Collector>());
  for (size_t i = 0; i + 1 < stream.states_.size(); ++i) {
    stream.states_[i]->set_next(stream.states_[i + 1].get());
  }
  return stream;
}

void TokenDecoder::Stream::Push(std::string_view token, std::string* out) {
  states_.front()->Fragment(token);
  states_.front()->EndString();
  static_cast<Collector&>(*states_.back()).MoveTo(out);
}

void TokenDecoder::Stream::Finish(std::string* out) {
  states_.front()->EndSequence();
  static_cast<Collector&>(*states_.back()).MoveTo(out);
}

std::string TokenDecoder::TokenBytes(std::string_view token) const {
  std::string bytes(token);
  for (const auto& stage : stages_) bytes = stage->TokenBytes(std::move(bytes));
  return bytes;
}

}  // namespace chorus::engine
