// AnswerLengths: how long answers become, learned from those that ended: of what their requests
// allow, most use a part. Engine thread only.
#ifndef CHORUS_ENGINE_SCHEDULE_ANSWER_LENGTHS_H_
#define CHORUS_ENGINE_SCHEDULE_ANSWER_LENGTHS_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace chorus::engine {

class AnswerLengths {
 public:
  // Limits (max_tokens >= 1) within a factor of two are of a kind: short answers to small limits
  // say nothing of large ones.
  static constexpr size_t kKinds = 31;
  static size_t KindOf(int32_t limit) {
    return static_cast<size_t>(std::bit_width(static_cast<uint32_t>(limit)) - 1);
  }

  // An answer ended by itself or at its limit, after `tokens` <= limit.
  void Add(int64_t tokens, int32_t limit);

  // Whether at least 32 of that kind have ended, of which the last 512 count, and some of these had
  // come to `tokens` <= limit.
  bool Knows(int64_t tokens, int32_t limit) const;
  // Which share of those that had come to `tokens` went on for `more` at least. REQUIRES: Knows.
  double Survival(int64_t tokens, int64_t more, int32_t limit) const;

 private:
  // How finely the used share of a limit is told.
  static constexpr int kBins = 512;
  struct Kind {
    std::vector<int16_t> last;                 // bins of the last answers, a ring
    size_t next = 0;                           // of `last`, once it is full
    std::array<int32_t, kBins + 1> from = {};  // of `last`, those in this bin or a later one
  };

  static int64_t BinOf(int64_t tokens, int32_t limit) { return tokens * kBins / limit; }
  // Of the last answers, those that came to `tokens` <= limit.
  int32_t NumFrom(int64_t tokens, int32_t limit) const {
    return kinds_[KindOf(limit)].from[static_cast<size_t>(BinOf(tokens, limit))];
  }
  static void Count(Kind* kind, int16_t bin, int32_t sign);

  std::array<Kind, kKinds> kinds_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_ANSWER_LENGTHS_H_
