// PageForecast: whether what runs and one more fit into the pool to their ends: if each becomes as
// long as it may, or as answers have been lately. Engine thread only.
#ifndef CHORUS_ENGINE_SCHEDULE_PAGE_FORECAST_H_
#define CHORUS_ENGINE_SCHEDULE_PAGE_FORECAST_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/schedule/active_set.h"
#include "engine/schedule/answer_lengths.h"
#include "engine/schedule/pool_contents.h"
#include "engine/schedule/request.h"

namespace chorus::engine {

class PageForecast {
 public:
  // Both outlive it.
  PageForecast(const PoolContents& pool, const ActiveSet& active) : pool_(pool), active_(active) {}

  // Pages of prefixes that a sequence finds, and those among them that nobody holds yet.
  struct FoundPages {
    int64_t all = 0;
    int64_t idle = 0;
  };

  // It ended as it would have ended alone: others may become as long.
  void NoteAnswer(const Sequence& sequence);
  // Within a step pages only get fewer: what did not fit is not asked again, nor is what is larger.
  void BeginStep();

  // Everything that runs, `entering` (null: nobody) and so many more pages of adapters fit together
  // to the last token that each may have, beside the pin budget.
  bool FitsAtMost(const Sequence* entering, int64_t adapter_pages);
  // Likewise if answers go on and end as they have lately (AnswerLengths), with a standard
  // deviation to spare and beside the watermark. Pages that sequences share count once, and as if
  // they stayed; who answers to a limit of which nothing is known neither grows nor leaves.
  bool FitsAsExpected(const Sequence& entering, const FoundPages& found, int64_t adapter_pages);

 private:
  // What a sequence can come to take.
  struct Wish {
    int64_t tokens = 0;     // of its own, now
    int64_t remaining = 0;  // of each choice, at most
    int64_t choices = 0;
    int64_t other_pages = 0;

    bool IsAtLeast(const Wish& other) const {
      return tokens >= other.tokens && remaining >= other.remaining && choices >= other.choices &&
             other_pages >= other.other_pages;
    }
  };
  // One that grows.
  struct Growing {
    int64_t tokens = 0;
    int64_t output = 0;
    int64_t choices = 0;
    int32_t limit = 0;

    int64_t rest() const { return limit - output; }
  };

  static Growing GrowingOf(const Sequence& sequence, int64_t shared_pages);
  bool ComputeFitsAtMost(const Sequence* entering, int64_t adapter_pages) const;
  bool ComputeFitsAsExpected(const Growing& entering, int64_t idle_prefixes,
                             int64_t adapter_pages) const;

  const PoolContents& pool_;
  const ActiveSet& active_;
  AnswerLengths lengths_;
  // Of this step
  std::optional<Wish> too_large_;
  std::array<std::optional<Wish>, AnswerLengths::kKinds> too_large_as_expected_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_PAGE_FORECAST_H_
