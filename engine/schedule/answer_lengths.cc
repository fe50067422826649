#include "engine/schedule/answer_lengths.h"

#include <utility>

namespace chorus::engine {
namespace {

constexpr size_t kWindow = 512;
constexpr size_t kFew = 32;

}  // namespace

void AnswerLengths::Add(int64_t tokens, int32_t limit) {
  Kind& kind = kinds_[KindOf(limit)];
  const auto bin = static_cast<int16_t>(BinOf(tokens, limit));
  Count(&kind, bin, 1);
  if (kind.last.size() < kWindow) {
    kind.last.push_back(bin);
    return;
  }
  Count(&kind, std::exchange(kind.last[kind.next], bin), -1);
  kind.next = (kind.next + 1) % kWindow;
}

void AnswerLengths::Count(Kind* kind, int16_t bin, int32_t sign) {
  for (int16_t i = 0; i <= bin; ++i) kind->from[static_cast<size_t>(i)] += sign;
}

bool AnswerLengths::Knows(int64_t tokens, int32_t limit) const {
  return kinds_[KindOf(limit)].last.size() >= kFew && NumFrom(tokens, limit) > 0;
}

double AnswerLengths::Survival(int64_t tokens, int64_t more, int32_t limit) const {
  if (tokens + more > limit) return 0.0;
  return static_cast<double>(NumFrom(tokens + more, limit)) /
         static_cast<double>(NumFrom(tokens, limit));
}

}  // namespace chorus::engine
