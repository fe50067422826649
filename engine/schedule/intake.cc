#include "engine/schedule/intake.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"
#include "engine/schedule/activation.h"
#include "kernels/status_macros.h"

namespace chorus::engine {

absl::Status Intake::Validate(const GenerateRequest& request) const {
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt == 0) return Refuse(Reason::kPromptEmpty, "prompt", "at least one token", "none");
  if (request.max_tokens < 1) {
    return Refuse(Reason::kValueOutOfRange, "max_tokens", "at least 1",
                  absl::StrCat(request.max_tokens));
  }
  if (prompt >= model_.max_positions) {
    return Refuse(Reason::kPromptTooLong, "prompt",
                  absl::StrCat("at most ", model_.max_positions - 1, " tokens"),
                  absl::StrCat(prompt));
  }
  if (prompt + request.max_tokens > model_.max_positions) {
    return Refuse(Reason::kMaxTokensTooLarge, "max_tokens",
                  absl::StrCat("at most ", model_.max_positions - prompt, " behind a prompt of ",
                               prompt, " tokens"),
                  absl::StrCat(request.max_tokens));
  }
  if (request.num_choices < 1 || request.num_choices > options_.max_running) {
    return Refuse(Reason::kValueOutOfRange, "n", absl::StrCat("1 to ", options_.max_running),
                  absl::StrCat(request.num_choices));
  }
  for (int32_t token : request.prompt) {
    if (token < 0 || token >= model_.vocabulary) {
      return Refuse(Reason::kTokenOutOfVocabulary, "prompt",
                    absl::StrCat("token ids from 0 to ", model_.vocabulary - 1),
                    absl::StrCat(token));
    }
  }
  const bool adapted =
      request.adapter != nullptr && ActiveFrom(*request.adapter, request.prompt).has_value();
  if (adapted) CHORUS_RETURN_IF_ERROR(CheckAdapter(*request.adapter));
  CHORUS_RETURN_IF_ERROR(CheckSampling(request));
  return CheckPages(request, adapted ? request.adapter->layout().num_ids : 0);
}

absl::Status Intake::CheckAdapter(const AdapterVersion& adapter) const {
  const auto refuse = [&](Reason reason, const char* what, int64_t most, int64_t got) {
    return Refuse(reason, absl::StrCat("adapter ", Quoted(adapter.name()), ": ", what),
                  absl::StrCat("at most ", most, ", which this server's device takes"),
                  absl::StrCat(got));
  };
  int32_t rank = 0;
  for (const kernels::LoraModuleEntry& entry : adapter.layout().modules) {
    rank = std::max(rank, entry.rank);
  }
  if (rank > model_.runner.max_adapter_rank) {
    return refuse(Reason::kAdapterRank, "rank", model_.runner.max_adapter_rank, rank);
  }
  const int64_t pages = adapter.layout().num_ids;
  if (pages > model_.runner.max_adapter_pages) {
    return refuse(Reason::kAdapterTooLarge, "pages", model_.runner.max_adapter_pages, pages);
  }
  return absl::OkStatus();
}

// Alone, every draw of the request must fit into a step: that of all choices at once, which still
// has no output, and that of one choice at its end.
absl::Status Intake::CheckSampling(const GenerateRequest& request) const {
  const int64_t biases = static_cast<int64_t>(request.sampling.logit_bias.size());
  if (request.num_choices * biases > model_.runner.max_step_biases) {
    return Refuse(Reason::kValueOutOfRange, "logit_bias",
                  absl::StrCat("at most ", model_.runner.max_step_biases / request.num_choices,
                               " entries with ", request.num_choices, " choices"),
                  absl::StrCat(biases));
  }
  const int64_t most = model_.runner.max_step_penalties;
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t forking = PenaltyIds(request.sampling, prompt, 0, model_.vocabulary);
  if (forking * request.num_choices > most) {
    return Refuse(Reason::kValueOutOfRange, "n",
                  absl::StrCat("at most ", most / forking, " with a repetition penalty over ",
                               prompt, " prompt tokens"),
                  absl::StrCat(request.num_choices));
  }
  const int64_t ending =
      PenaltyIds(request.sampling, prompt, request.max_tokens, model_.vocabulary);
  if (ending > most) {
    return Refuse(Reason::kMaxTokensTooLarge, "max_tokens",
                  absl::StrCat("at most ", most - forking, " with these penalties"),
                  absl::StrCat(request.max_tokens));
  }
  return absl::OkStatus();
}

// One choice must be able to run to its end alone, and all must fit when they fork; where nothing
// is ever preempted, all to their end.
absl::Status Intake::CheckPages(const GenerateRequest& request, int64_t adapter_pages) const {
  const auto refuse = [](std::string expected, int64_t got) {
    return MakeRefusal(absl::StatusCode::kResourceExhausted,
                       {Reason::kPoolTooSmall, "request", std::move(expected), absl::StrCat(got)});
  };
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t peak = PagesFor(prompt + request.max_tokens);
  const int64_t pages = options_.admission == AdmissionMode::kConservative
                            ? peak * request.num_choices
                            : std::max(peak, PagesFor(prompt) + request.num_choices);
  if (peak > model_.runner.max_step_pages) {
    return refuse(absl::StrCat("at most ", model_.runner.max_step_pages,
                               " pages of one choice, which a step can read"),
                  peak);
  }
  if (!pool_.pages.Holds(pages, adapter_pages + pool_.pin_pages)) {
    return refuse(absl::StrCat("at most ", pool_.pages.num_pages() - pool_.pin_pages,
                               " pages, which the pool has beside its pin budget"),
                  pages + adapter_pages);
  }
  return absl::OkStatus();
}

std::unique_ptr<Request> Intake::MakeRequest(GenerateRequest spec) const {
  auto request = std::make_unique<Request>();
  if (spec.adapter != nullptr) {
    const std::optional<int64_t> from = ActiveFrom(*spec.adapter, spec.prompt);
    if (from.has_value()) {
      const auto& digest = spec.adapter->digest().bytes;
      request->chain.adapter = {.digest = {digest.begin(), digest.end()}, .from = *from};
      request->owner = Residency::OwnerOf(Residency::KeyOf(*spec.adapter));
    } else {
      spec.adapter = nullptr;
    }
  }
  request->chain.root = RootKey(spec.tenant, spec.cache_salt, model_.base_digest);
  if (options_.prefix_cache) request->prompt_keys = PageKeys(request->chain, spec.prompt);
  request->stream = std::make_shared<TokenStream>(options_.stream_capacity *
                                                  static_cast<size_t>(spec.num_choices));
  request->spec = std::move(spec);
  return request;
}

}  // namespace chorus::engine
