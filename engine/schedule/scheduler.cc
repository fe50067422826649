#include "engine/schedule/scheduler.h"

#include <algorithm>
#include <span>
#include <utility>

#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

// How long a sequence sits out for the pages of a staged load that is being cancelled, rather than
// somebody being preempted.
constexpr absl::Duration kStagedPatience = absl::Milliseconds(20);
constexpr double kTokenService = 2.0;  // of a token drawn, in prompt tokens

}  // namespace

Scheduler::Scheduler(const EngineOptions& options, const ModelLimits& model,
                     const kernels::PoolView& pool_view, LoadQueue* loads, StreamBell* bell)
    : options_(options),
      model_(model),
      bell_(bell),
      pool_(options_, model_.runner, pool_view, loads),
      intake_(options_, model_, pool_),
      waiting_(options.tenant_weights),
      pace_(options.max_prefill_chunk / 2),
      admission_(options_, &pool_, &waiting_, &active_, &under_way_),
      early_abort_(options_, pool_, admission_, active_, &waiting_, &pace_),
      rows_(options_, model_, pool_view.num_slabs, pace_) {}

Scheduler::~Scheduler() = default;

void Scheduler::Submit(std::unique_ptr<Request> request, absl::Time now) {
  request->serial = next_serial_++;
  request->submitted = now;
  request->tenant = waiting_.Open(request->spec.tenant);
  if (request->spec.deadline != absl::InfiniteFuture()) by_deadline_.insert(request.get());
  auto sequence = std::make_unique<Sequence>();
  sequence->request = request.get();
  sequence->unforked = request->spec.num_choices - 1;
  sequence->keys = request->prompt_keys;
  admission_.Enqueue(sequence.get());
  request->sequences.push_back(std::move(sequence));
  const std::string id = request->spec.request_id;
  const bool added = requests_.try_emplace(id, std::move(request)).second;
  CHORUS_CHECK(added);
}

void Scheduler::Cancel(const std::string& request_id, int32_t choice, FinishReason reason) {
  const auto found = requests_.find(request_id);
  if (found == requests_.end()) return;
  std::vector<Sequence*> ending;
  for (const auto& sequence : found->second->sequences) {
    if (choice < 0 || sequence->choice == choice) ending.push_back(sequence.get());
  }
  for (Sequence* sequence : ending) Finish(sequence, reason, -1, absl::OkStatus());
}

void Scheduler::OnLoadDone(const LoadDone& done, absl::Time now) {
  const Residency::LoadResult result = pool_.residency.OnLoadDone(done, now);
  counters_.adapter_load_seconds += absl::ToDoubleSeconds(result.took);
  if (done.status.ok()) {
    ++counters_.adapter_loads;
    load_seconds_.push_back(absl::ToDoubleSeconds(result.took));
    if (result.resident != nullptr) pace_.AddLoad(result.resident->pages(), result.took);
  }
  if (result.resident == nullptr) return;
  std::vector<Sequence*> users;
  for (Sequence* sequence : active_) {
    if (sequence->resident == result.resident) users.push_back(sequence);
  }
  if (result.status.ok()) {
    for (Sequence* sequence : users) sequence->state = Sequence::State::kRunning;
    return;
  }
  ++counters_.adapter_load_failures;
  for (const auto& [id, request] : requests_) {
    for (const auto& sequence : request->sequences) {
      const bool waits = sequence->state == Sequence::State::kWaiting;
      if (waits && sequence->resident == result.resident) users.push_back(sequence.get());
    }
  }
  for (Sequence* sequence : users) Finish(sequence, FinishReason::kError, -1, result.status);
}

absl::Status Scheduler::Pin(const AdapterRef& adapter, bool pinned) {
  if (pinned) CHORUS_RETURN_IF_ERROR(intake_.CheckAdapter(*adapter));
  return pool_.residency.Pin(adapter, pinned);
}

void Scheduler::Forget(const AdapterKey& key) {
  pool_.prefixes.Forget(Residency::OwnerOf(key));
  pool_.host_tier.Forget(Residency::OwnerOf(key));
  pool_.residency.Forget(key);
}

std::optional<StepPlan> Scheduler::PlanStep(absl::Time now) {
  now_ = now;
  ExpireDeadlines(now);
  RefuseLate(now);
  ReserveDecode(now);
  for (Sequence* sequence : admission_.Admit(now)) NoteAdmitted(sequence, now);
  planned_ = rows_.Choose(active_, now);
  if (planned_.empty()) return std::nullopt;
  pool_.pages.BeginStep(++epoch_);
  StepPlan plan;
  plan.epoch = epoch_;
  plan.slot_changes = pool_.residency.TakeSlotChanges();
  BuildBatch(planned_, &plan);
  plan.saves = pool_.host_tier.PlanSaves();
  CountWork(plan);
  if (!options_.lora_compute) plan.segments.clear();
  AddArrivals(&plan);
  return plan;
}

void Scheduler::CountWork(const StepPlan& plan) {
  counters_.step_rows += static_cast<uint64_t>(plan.num_rows());
  counters_.step_pages += plan.page_ids.size();
  counters_.step_adapters += plan.segments.size();
  counters_.step_ranks += static_cast<uint64_t>(plan.rank_sum);
}

void Scheduler::AddArrivals(StepPlan* plan) const {
  auto& arrivals = plan->arrivals;
  for (const PlannedSequence& planned : planned_) {
    const Residency::Resident* resident = planned.sequence->resident;
    if (resident == nullptr || resident->arrivals == nullptr) continue;
    if (planned.sequence->base_rows(planned.rows) == planned.rows) continue;
    if (std::find(arrivals.begin(), arrivals.end(), resident->arrivals) != arrivals.end()) continue;
    arrivals.push_back(resident->arrivals);
  }
}

void Scheduler::CommitStep(const StepResult& result, absl::Duration step_time) {
  pool_.pages.EndStep(epoch_);
  ++counters_.steps;
  int64_t rows = 0;
  for (const PlannedSequence& planned : planned_) rows += planned.rows;
  pace_.AddStep(rows, step_time);
  now_ += step_time;
  pool_.host_tier.NoteStep(step_time, pace_.row_time());
  if (pace_.known()) {
    pool_.prefixes.SetPageSeconds(absl::ToDoubleSeconds(pace_.row_time()) * kernels::kPageTokens);
  }
  for (const PlannedSequence& planned : planned_) CommitSequence(planned, result);
  planned_.clear();
  for (const std::string& id : std::exchange(slow_, {})) Cancel(id, -1, FinishReason::kSlowReader);
}

void Scheduler::FailAll(const absl::Status& status) {
  pool_.pages.EndStep(epoch_);
  planned_.clear();
  while (!requests_.empty()) {
    Finish(requests_.begin()->second->sequences.front().get(), FinishReason::kError, -1, status);
  }
}

void Scheduler::FillStats(EngineStats* stats) const {
  *stats = counters_;
  stats->blocked = admission_.num_blocked();
  stats->requests_running = num_admitted_;
  stats->requests_waiting = static_cast<int64_t>(requests_.size()) - num_admitted_;
  stats->sequences_running = active_.size();
  pool_.FillStats(stats);
}

void Scheduler::ExpireDeadlines(absl::Time now) {
  while (next_deadline() <= now) {
    const std::string id = (*by_deadline_.begin())->spec.request_id;
    Cancel(id, -1, FinishReason::kDeadline);
  }
}

void Scheduler::RefuseLate(absl::Time now) {
  for (const EarlyAbort::Late& late : early_abort_.Find(now)) {
    ++counters_.early_aborts;
    Finish(late.sequence, FinishReason::kError, -1, late.status);
  }
}

void Scheduler::NoteAdmitted(Sequence* sequence, absl::Time now) {
  Request* const request = sequence->request;
  if (sequence->preemptions == 0) {
    counters_.prompt_tokens_looked_up += request->spec.prompt.size();
    counters_.prompt_tokens_cached += static_cast<uint64_t>(sequence->computed);
  }
  if (std::exchange(request->admitted, true)) return;
  ++num_admitted_;
  Push(request, {.kind = StreamEvent::Kind::kAdmitted,
                 .choice = sequence->choice,
                 .cached_tokens = static_cast<int32_t>(sequence->computed),
                 .queue_time = now - request->submitted});
}

void Scheduler::ReserveDecode(absl::Time now) {
  const std::vector<Sequence*> oldest_first = active_.sequences();
  for (Sequence* sequence : oldest_first) {
    // It may have been preempted for an older one a moment ago.
    while (sequence->state == Sequence::State::kRunning && !GrowByPage(sequence)) {
      // What is loaded for waiters yields to whoever runs.
      if (pool_.residency.WithdrawStaged(kAnyone)) continue;
      if (AwaitStaged(now)) break;
      if (active_.size() < 2) break;  // the oldest waits for pages that drain or are being written
      Preempt(active_.youngest());
    }
  }
}

// Whether the pages of a staged load will come back in a moment: it was cancelled, which it notices
// between two layers. From a store that hangs they do not, and then nobody waits for them.
bool Scheduler::AwaitStaged(absl::Time now) {
  if ((now >= staged_patience_ || !pool_.residency.IsYielding()) &&
      pool_.residency.CancelStaged()) {
    staged_patience_ = now + kStagedPatience;
  }
  return now < staged_patience_ && pool_.residency.IsYielding();
}

// Makes sure that the next token has a page.
bool Scheduler::GrowByPage(Sequence* sequence) {
  if (sequence->computed / kernels::kPageTokens < sequence->pages.size()) return true;
  if (sequence->spare.size() > sequence->unforked) {
    sequence->pages.Append(sequence->spare.TakeFrom(sequence->spare.size() - 1));
    return true;
  }
  if (!pool_.pages.MakeFree(1, 0, kAnyone)) return false;
  sequence->pages.Append(*pool_.pages.kv().Acquire(1));
  return true;
}

void Scheduler::Preempt(Sequence* sequence) {
  ++counters_.preemptions;
  ++sequence->preemptions;
  sequence->computed_before = std::max(sequence->computed_before, sequence->computed);
  admission_.Enqueue(sequence);  // first, so that its adapter stays
  active_.Remove(sequence);
  LeavePool(sequence, /*preempted=*/true);
  sequence->state = Sequence::State::kWaiting;
  sequence->computed = 0;
  sequence->published = 0;
  sequence->overtaken = 0;
}

void Scheduler::CommitSequence(const PlannedSequence& planned, const StepResult& result) {
  Sequence* sequence = planned.sequence;
  const int64_t prompt = static_cast<int64_t>(sequence->request->spec.prompt.size());
  counters_.prompt_tokens +=
      static_cast<uint64_t>(std::clamp<int64_t>(prompt - sequence->computed, 0, planned.rows));
  counters_.recomputed_tokens += static_cast<uint64_t>(
      std::clamp<int64_t>(sequence->computed_before - sequence->computed, 0, planned.rows));
  sequence->computed += planned.rows;
  sequence->copy.reset();
  sequence->copy_source.Release();
  pool_.host_tier.Release(std::exchange(sequence->restores, {}), /*restored=*/true);
  Publish(sequence);
  if (planned.num_samples == 0) return;
  std::vector<Sequence*> choices = {sequence};
  for (int32_t i = 1; i < planned.num_samples; ++i) {
    choices.push_back(Fork(sequence, sequence->choice + i));
  }
  for (int32_t i = 0; i < planned.num_samples; ++i) {
    AcceptToken(choices[static_cast<size_t>(i)],
                result.tokens[static_cast<size_t>(planned.first_sample + i)]);
  }
}

void Scheduler::Publish(Sequence* sequence) {
  const int64_t full = sequence->computed / kernels::kPageTokens;
  if (!options_.prefix_cache || full == sequence->published) return;
  const Request& request = *sequence->request;
  while (static_cast<int64_t>(sequence->keys.size()) < full) {
    int32_t tokens[kernels::kPageTokens];
    const int64_t begin = static_cast<int64_t>(sequence->keys.size()) * kernels::kPageTokens;
    for (int i = 0; i < kernels::kPageTokens; ++i) tokens[i] = sequence->token(begin + i);
    request.chain.Append(tokens, &sequence->keys);
  }
  under_way_.End(*sequence, std::span(sequence->keys)
                                .subspan(static_cast<size_t>(sequence->published),
                                         static_cast<size_t>(full - sequence->published)));
  const auto publish = [&](int64_t end, PrefixOwner owner) {
    pool_.prefixes.Publish(std::span(sequence->keys).first(static_cast<size_t>(end)),
                           std::exchange(sequence->published, end), owner, &sequence->pages);
  };
  const int64_t base_pages = std::min(full, request.chain.base_pages());
  if (sequence->published < base_pages) publish(base_pages, 0);
  if (sequence->published < full && !sequence->resident->forgotten) publish(full, request.owner);
  sequence->published = full;
}

// A choice that goes on from `parent`'s prompt. Full pages are shared; the partial one is copied at
// the start of the next step, into a page that was reserved for it.
Sequence* Scheduler::Fork(Sequence* parent, int32_t choice) {
  CHORUS_CHECK_GT(parent->unforked, 0);
  auto child = std::make_unique<Sequence>();
  child->request = parent->request;
  child->resident = parent->resident;
  child->choice = choice;
  child->state = parent->state;
  child->computed = parent->computed;
  child->keys = parent->keys;
  child->published = parent->published;
  child->preemptions = parent->preemptions;
  child->charged = true;
  child->admitted = parent->admitted;
  PageLease fresh = parent->spare.TakeFrom(parent->spare.size() - 1);
  --parent->unforked;
  const int64_t full = parent->computed / kernels::kPageTokens;
  for (int64_t i = 0; i < full; ++i) child->pages.Append(pool_.pages.kv().Share(parent->pages[i]));
  if (parent->computed % kernels::kPageTokens != 0) {
    child->copy = kernels::PageCopy{parent->pages[full], fresh[0]};
    child->copy_source = pool_.pages.kv().Share(parent->pages[full]);
    child->pages.Append(std::move(fresh));
  } else {
    child->spare = std::move(fresh);
  }
  if (child->resident != nullptr) pool_.residency.Hold(child->resident);
  Sequence* result = child.get();
  active_.AddFork(result);
  parent->request->sequences.push_back(std::move(child));
  return result;
}

void Scheduler::AcceptToken(Sequence* sequence, const kernels::SampledToken& token) {
  const GenerateRequest& spec = sequence->request->spec;
  if (token.token < 0) {
    Finish(sequence, FinishReason::kError, -1,
           absl::InternalError("the model's logits are not finite"));
    return;
  }
  const bool eos = !spec.ignore_eos && std::binary_search(model_.eos_token_ids.begin(),
                                                          model_.eos_token_ids.end(), token.token);
  if (eos || std::find(spec.stop_token_ids.begin(), spec.stop_token_ids.end(), token.token) !=
                 spec.stop_token_ids.end()) {
    Finish(sequence, FinishReason::kStop, token.token, absl::OkStatus());
    return;
  }
  if (sequence->output.empty()) early_abort_.NoteFirstToken(*sequence, now_);
  ++counters_.generation_tokens;
  waiting_.Charge(sequence->request->tenant, kTokenService);
  StreamEvent event;
  event.choice = sequence->choice;
  event.token = token;
  if (!sequence->request->stream->TryPush(std::move(event))) {
    ++counters_.slow_readers;
    slow_.push_back(spec.request_id);  // its other choices may still be under way in this step
    return;
  }
  bell_->Add(sequence->request->stream);
  sequence->output.push_back(token.token);
  if (static_cast<int32_t>(sequence->output.size()) == spec.max_tokens) {
    Finish(sequence, FinishReason::kLength, -1, absl::OkStatus());
  }
}

void Scheduler::Finish(Sequence* sequence, FinishReason reason, int32_t stop_token,
                       absl::Status status) {
  Request* request = sequence->request;
  if (sequence->state == Sequence::State::kWaiting) {
    admission_.Leave(sequence);
  } else {
    active_.Remove(sequence);
    LeavePool(sequence, /*preempted=*/false);
    if (reason == FinishReason::kStop || reason == FinishReason::kLength) {
      pace_.AddSequence(now_ - sequence->admitted);
      admission_.NoteAnswer(*sequence);
    }
  }
  const bool last = request->sequences.size() == 1;
  if (last) {
    if (request->admitted) --num_admitted_;
    by_deadline_.erase(request);
    waiting_.Close(request->tenant);
    request->tenant = nullptr;
  }
  if (last) on_ended_(request->spec.request_id);
  for (int32_t i = 0; i < sequence->num_choices(); ++i) {
    Push(request, {.kind = StreamEvent::Kind::kFinished,
                   .choice = sequence->choice + i,
                   .reason = reason,
                   .stop_token = stop_token,
                   .status = status});
  }
  if (last) {
    requests_.erase(std::string(request->spec.request_id));  // which goes with the request
    return;
  }
  std::erase_if(request->sequences,
                [sequence](const auto& owned) { return owned.get() == sequence; });
}

// Gives back all that a LOADING or RUNNING sequence holds.
void Scheduler::LeavePool(Sequence* sequence, bool preempted) {
  const auto published = static_cast<size_t>(sequence->published);
  under_way_.End(*sequence, std::span(sequence->keys).subspan(published));
  sequence->pages.Release();
  sequence->spare.Release();
  sequence->copy.reset();
  sequence->copy_source.Release();
  pool_.host_tier.Release(std::exchange(sequence->restores, {}), /*restored=*/false);
  pool_.host_tier.Left(std::span(sequence->keys).first(published), preempted);
  if (sequence->resident != nullptr) pool_.residency.Unhold(sequence->resident);
}

void Scheduler::Push(Request* request, StreamEvent event) {
  request->stream->TryPush(std::move(event));
  bell_->Add(request->stream);
}

}  // namespace chorus::engine
