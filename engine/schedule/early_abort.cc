// Early abort: who cannot have his first token in time is told so at once (Scheduler::RefuseLate).
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"
#include "engine/schedule/first_token_forecast.h"
#include "engine/schedule/scheduler.h"

namespace chorus::engine {
namespace {

// How often all that waits is looked at: 4,096 requests take a few hundred µs.
constexpr absl::Duration kPeriod = absl::Milliseconds(20);

absl::Status Late(absl::Duration limit, absl::Duration expected) {
  const auto ms = [](absl::Duration d) {
    return absl::ToInt64Milliseconds(absl::Ceil(d, absl::Milliseconds(1)));
  };
  return MakeRefusal(
      absl::StatusCode::kResourceExhausted,
      {Reason::kFirstTokenLate, "request", absl::StrCat("a first token within ", ms(limit), " ms"),
       absl::StrCat(ms(expected), " ms, by what is ahead of it"), ms(expected - limit)});
}

}  // namespace

absl::Time Scheduler::FirstTokenDeadline(const Request& request) const {
  absl::Time deadline = absl::InfiniteFuture();
  if (options_.first_token_limit_ms > 0) {
    deadline = request.submitted + absl::Milliseconds(options_.first_token_limit_ms);
  }
  return options_.early_abort ? std::min(deadline, request.spec.deadline) : deadline;
}

// Only forecasts of several steps tell how good they are.
void Scheduler::NoteFirstToken(const Sequence& sequence) {
  if (sequence.forecast == absl::InfiniteDuration() || sequence.preemptions > 0) return;
  if (sequence.forecast < 4 * pace_.StepTime(options_.max_step_tokens)) return;
  pace_.AddForecast(sequence.forecast, now_ - sequence.forecast_at);
}

void Scheduler::RefuseLate(absl::Time now) {
  const bool on = options_.early_abort || options_.first_token_limit_ms > 0;
  if (!on || !pace_.known() || waiting_.empty() || now < next_forecast_) return;
  next_forecast_ = now + kPeriod;
  FirstTokenForecast forecast(options_, pace_, active_, pages_.AvailableForKv());
  std::vector<std::pair<Sequence*, absl::Duration>> late;
  FairQueue::Walk walk(&waiting_);
  while (Sequence* sequence = walk.Next()) {
    FirstTokenForecast::Wish wish;
    wish.tenant = sequence->request->tenant;
    wish.rows = sequence->num_tokens() - sequence->cached_hint;
    wish.pages = PagesWanted(*sequence, sequence->cached_hint / kernels::kPageTokens);
    wish.choices = sequence->num_choices();
    const Residency::Resident* resident = sequence->resident;
    if (resident != nullptr && resident->state != ResidencyState::kResident) {
      const bool cold = resident->state == ResidencyState::kDisk;
      if (cold) wish.pages += resident->pages();
      wish.load = pace_.LoadTime(resident->pages()) -
                  (cold ? absl::ZeroDuration() : now - resident->load_begin);
    }
    const absl::Duration asked = forecast.Ask(wish);
    if (sequence->forecast == absl::InfiniteDuration()) {
      sequence->forecast = asked;
      sequence->forecast_at = now;
    }
    const absl::Duration expected = asked * pace_.caution();
    // What was begun is not thrown away.
    if (!sequence->request->admitted && now + expected > FirstTokenDeadline(*sequence->request)) {
      late.emplace_back(sequence, expected);
    } else {
      forecast.Count(wish);
    }
  }
  for (const auto& [sequence, expected] : late) {
    const Request& request = *sequence->request;
    ++counters_.early_aborts;
    Finish(
        sequence, FinishReason::kError, -1,
        Late(FirstTokenDeadline(request) - request.submitted, now + expected - request.submitted));
  }
}

}  // namespace chorus::engine
