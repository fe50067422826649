#include "engine/schedule/early_abort.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"

namespace chorus::engine {
namespace {

// How often all that waits is looked at: 4,096 requests take a few hundred µs.
constexpr absl::Duration kPeriod = absl::Milliseconds(20);

absl::Status TooLate(absl::Duration limit, absl::Duration expected) {
  const auto ms = [](absl::Duration d) {
    return absl::ToInt64Milliseconds(absl::Ceil(d, absl::Milliseconds(1)));
  };
  return MakeRefusal(
      absl::StatusCode::kResourceExhausted,
      {Reason::kFirstTokenLate, "request", absl::StrCat("a first token within ", ms(limit), " ms"),
       absl::StrCat(ms(expected), " ms, by what is ahead of it"), ms(expected - limit)});
}

}  // namespace

EarlyAbort::EarlyAbort(const EngineOptions& options, const PoolContents& pool,
                       const Admission& admission, const ActiveSet& active, FairQueue* waiting,
                       Pace* pace)
    : options_(options),
      pool_(pool),
      admission_(admission),
      active_(active),
      waiting_(*waiting),
      pace_(*pace) {}

std::vector<EarlyAbort::Late> EarlyAbort::Find(absl::Time now) {
  const bool on = options_.early_abort || options_.first_token_limit_ms > 0;
  if (!on || !pace_.known() || waiting_.empty() || now < next_) return {};
  next_ = now + kPeriod;
  FirstTokenForecast forecast(options_, pace_, active_, pool_.pages.AvailableForKv());
  std::vector<Late> late;
  FairQueue::Walk walk(&waiting_);
  while (Sequence* sequence = walk.Next()) {
    const FirstTokenForecast::Wish wish = WishOf(*sequence, now);
    const absl::Duration asked = forecast.Ask(wish);
    if (sequence->forecast == absl::InfiniteDuration()) {
      sequence->forecast = asked;
      sequence->forecast_at = now;
    }
    const absl::Time expected = now + asked * pace_.caution();
    const Request& request = *sequence->request;
    const absl::Time deadline = DeadlineOf(request);
    // What was begun is not thrown away.
    if (!request.admitted && expected > deadline) {
      late.push_back(
          {sequence, TooLate(deadline - request.submitted, expected - request.submitted)});
    } else {
      forecast.Count(wish);
    }
  }
  return late;
}

// Only forecasts of several steps tell how good they are.
void EarlyAbort::NoteFirstToken(const Sequence& sequence, absl::Time now) {
  if (sequence.forecast == absl::InfiniteDuration() || sequence.preemptions > 0) return;
  if (sequence.forecast < 4 * pace_.StepTime(options_.max_step_tokens)) return;
  pace_.AddForecast(sequence.forecast, now - sequence.forecast_at);
}

absl::Time EarlyAbort::DeadlineOf(const Request& request) const {
  absl::Time deadline = absl::InfiniteFuture();
  if (options_.first_token_limit_ms > 0) {
    deadline = request.submitted + absl::Milliseconds(options_.first_token_limit_ms);
  }
  return options_.early_abort ? std::min(deadline, request.spec.deadline) : deadline;
}

FirstTokenForecast::Wish EarlyAbort::WishOf(const Sequence& sequence, absl::Time now) const {
  FirstTokenForecast::Wish wish;
  wish.tenant = sequence.request->tenant;
  wish.rows = sequence.num_tokens() - sequence.cached_hint;
  wish.pages = admission_.PagesWanted(sequence, sequence.cached_hint / kernels::kPageTokens);
  wish.choices = sequence.num_choices();
  const Residency::Resident* resident = sequence.resident;
  if (resident == nullptr || resident->state == ResidencyState::kResident) return wish;
  const bool cold = resident->state == ResidencyState::kDisk;
  if (cold) wish.pages += resident->pages();
  wish.load = pace_.LoadTime(resident->pages()) -
              (cold ? absl::ZeroDuration() : now - resident->load_begin);
  return wish;
}

}  // namespace chorus::engine
