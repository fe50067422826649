// Request and Sequence: the scheduler's state of a generation. A request has one sequence a choice;
// a sequence is what waits, holds pages, is preempted and ends. Engine thread only.
//
//   WAITING ──admit──▶ LOADING (pages reserved, its adapter on the way) ──▶ RUNNING ──▶ FINISHED
//      ▲                          └──────────────── preempted ────────────────┘
//      └────────────────────────────────────────────────┘
//
// With n > 1 the first sequence computes the prompt once; when it draws its first token the other
// choices fork off it, sharing its full pages.
#ifndef CHORUS_ENGINE_SCHEDULE_REQUEST_H_
#define CHORUS_ENGINE_SCHEDULE_REQUEST_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "engine/adapters/residency.h"
#include "engine/memory/page_pool.h"
#include "engine/memory/prefix_cache.h"
#include "engine/memory/prefix_key.h"
#include "engine/schedule/generate_request.h"
#include "engine/schedule/token_stream.h"

namespace chorus::engine {

struct Sequence;
struct Tenant;  // fair_queue.h

// Whether the sampler looks at prompt and output.
inline bool HasPenalties(const kernels::SamplingParams& sampling) {
  return sampling.repetition_penalty != 1.0f || sampling.presence_penalty != 0.0f ||
         sampling.frequency_penalty != 0.0f;
}

// Distinct ids, at most, that penalties touch when the token behind so many is drawn.
inline int64_t PenaltyIds(const kernels::SamplingParams& sampling, int64_t prompt, int64_t output,
                          int32_t vocabulary) {
  if (!HasPenalties(sampling)) return 0;
  const int64_t ids = output + (sampling.repetition_penalty != 1.0f ? prompt : 0);
  return std::min<int64_t>(ids, vocabulary);
}

struct Request {
  GenerateRequest spec;
  std::shared_ptr<TokenStream> stream;  // shared with the reader
  Tenant* tenant = nullptr;             // its account, while it lives in a scheduler
  uint64_t serial = 0;                  // of arrival
  absl::Time submitted;
  PrefixChain chain;
  PrefixOwner owner = 0;               // of the pages behind chain.base_pages(); 0 is the base
  std::vector<PrefixKey> prompt_keys;  // of the prompt's full pages
  std::vector<std::unique_ptr<Sequence>> sequences;  // live choices
  bool admitted = false;                             // the kAdmitted event was sent

  bool needs_history() const { return HasPenalties(spec.sampling); }
  int64_t num_biases() const { return static_cast<int64_t>(spec.sampling.logit_bias.size()); }
};

struct Sequence {
  enum class State { kWaiting, kLoading, kRunning };

  Request* request = nullptr;
  Residency::Resident* resident = nullptr;  // null: the base model
  int32_t choice = 0;
  int32_t unforked = 0;  // choices after this one that are still to fork off it
  State state = State::kWaiting;
  std::vector<int32_t> output;
  int64_t computed = 0;         // tokens whose KV lies in `pages`
  PageLease pages;              // in order of position
  PageLease spare;              // reserved for growth and forks
  std::vector<PrefixKey> keys;  // of its full pages, as far as known
  int64_t published = 0;        // full pages entered in the prefix cache
  // A fork's partial page, to be copied before its first step; the source is kept until then.
  std::optional<kernels::PageCopy> copy;
  PageLease copy_source;
  // Of its pages, from the host before its first step; their slots are held until then.
  std::vector<kernels::HostPageCopy> restores;
  int32_t preemptions = 0;
  int64_t computed_before = 0;                         // tokens, at most, when it was preempted
  absl::Time admitted;                                 // the last time
  absl::Time forecast_at;                              // the first one of its first token
  absl::Duration forecast = absl::InfiniteDuration();  // infinite: there was none
  // How it is charged (FairQueue)
  bool charged = false;      // once, when it is first admitted
  int64_t loaded_pages = 0;  // of its adapter, for its sake, before that
  int64_t cached_hint = 0;   // prompt tokens that were cached when somebody looked
  // How it waits
  int32_t overtaken = 0;    // admissions that passed it while it was blocked
  bool overdue = false;     // nobody may pass it any more
  uint32_t blocked_by = 0;  // a bit for each Blocked it has met

  int64_t prompt_tokens() const { return static_cast<int64_t>(request->spec.prompt.size()); }
  int64_t num_tokens() const { return prompt_tokens() + static_cast<int64_t>(output.size()); }
  int32_t token(int64_t i) const {
    const int64_t prompt = prompt_tokens();
    return i < prompt ? request->spec.prompt[static_cast<size_t>(i)]
                      : output[static_cast<size_t>(i - prompt)];
  }
  int64_t peak_tokens() const { return prompt_tokens() + request->spec.max_tokens; }
  int32_t num_choices() const { return 1 + unforked; }
  int64_t num_penalties(int32_t vocabulary) const {
    return PenaltyIds(request->spec.sampling, prompt_tokens(), static_cast<int64_t>(output.size()),
                      vocabulary);
  }
  // Of its next `rows` rows, so many at the front are the base's: an activated LoRA computes from
  // inside the prompt on.
  int64_t base_rows(int64_t rows) const {
    if (resident == nullptr) return rows;
    return std::clamp<int64_t>(request->chain.adapter->from - computed, 0, rows);
  }
  // Old before young; the order in which preemption spares.
  bool OlderThan(const Sequence& other) const {
    if (request->serial != other.request->serial) return request->serial < other.request->serial;
    return choice < other.choice;
  }
};

struct OlderSequence {
  bool operator()(const Sequence* a, const Sequence* b) const { return a->OlderThan(*b); }
};

struct SoonerDeadline {
  bool operator()(const Request* a, const Request* b) const {
    return a->spec.deadline != b->spec.deadline ? a->spec.deadline < b->spec.deadline
                                                : a->serial < b->serial;
  }
};

// Pages that hold `tokens` tokens.
inline int64_t PagesFor(int64_t tokens) {
  return (tokens + kernels::kPageTokens - 1) / kernels::kPageTokens;
}

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_REQUEST_H_
