// The law of the mixed batch, on the real engine with the real runner: whatever else runs, however
// prompts are cut, pages are found, taken away and computed again, and on however many threads,
// each request hears the tokens and log-probabilities that it hears alone, in every bit.
//
// A seed fixes requests and options; arrivals and loads interleave as the threads happen to run.
// CHORUS_LAW_SEED=n runs that seed alone, CHORUS_LAW_SEEDS=n as many.
#include <cstdlib>
#include <random>

#include "absl/strings/str_cat.h"
#include "engine/schedule/activation.h"
#include "gtest/gtest.h"
#include "tests/engine/model/engine_run.h"
#include "tests/support/golden.h"
#include "tests/support/memory_adapter.h"
#include "tests/support/tiny_model.h"

namespace chorus::test {
namespace {

using engine::GenerateRequest;
using kernels::DType;

constexpr int kAlonePages = 256;

// A tiny model of the goldens with its adapters on disk and in memory.
struct Subject {
  Subject(const std::string& name, DType type) : golden(name), dtype(type) {
    golden.WriteModel(dir.path());
    config = *engine::ModelConfig::Load(dir.path());
    const TestPool geometry(dtype, config.kv_heads, config.head_dim, 1, config.layers);
    for (const std::string& adapter : golden.adapters()) {
      const Golden::AdapterFiles files = golden.MakeAdapter(adapter);
      adapters.push_back(*MemoryAdapter::Make("tenant", adapter, files.config, files.tensors,
                                              config, geometry.view()));
    }
  }

  const Golden golden;
  const DType dtype;
  TempDir dir;
  engine::ModelConfig config;
  std::vector<engine::AdapterRef> adapters;
};

// Everything random about one seed.
class Scenario {
 public:
  Scenario(const Subject& subject, uint32_t seed) : subject_(subject), random_(seed) {
    for (auto& stem : stems_) stem = Tokens(80);
    for (int& adapter : adapters_) {
      adapter = Between(0, static_cast<int>(subject_.adapters.size()) - 1);
    }
    const int count = Between(8, 20);
    for (int i = 0; i < count; ++i) requests_.push_back(Request(i));
  }

  const std::vector<GenerateRequest>& requests() const { return requests_; }
  int Between(int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random_);
  }
  bool OneIn(int n) { return Between(1, n) == 1; }

  // A pool that holds the largest request and little more.
  EngineRunOptions Options() {
    EngineRunOptions options{.dtype = subject_.dtype, .num_workers = Between(1, 3)};
    engine::EngineOptions& e = options.engine;
    e.max_running = Between(3, 10);
    e.max_step_tokens = Between(e.max_running, 64);
    e.max_prefill_chunk = Between(1, 40);
    e.max_step_adapters = Between(1, 6);
    e.max_overtakes = Between(0, 8);
    e.admission =
        OneIn(4) ? engine::AdmissionMode::kConservative : engine::AdmissionMode::kExpected;
    e.admission_watermark = OneIn(2) ? 0.0 : 0.05;
    e.pin_budget = 0.0;
    e.prefix_cache = !OneIn(4);
    e.max_loads = Between(1, 3);
    e.loader_threads = Between(1, 2);
    options.num_pages = LargestRequest() + Between(0, 12);
    options.host_pages = OneIn(2) ? Between(1, 60) : 0;
    return options;
  }

 private:
  std::vector<int32_t> Tokens(int count) {
    std::vector<int32_t> tokens;
    for (int i = 0; i < count; ++i) tokens.push_back(Between(3, subject_.config.vocabulary - 1));
    return tokens;
  }

  GenerateRequest Request(int number) {
    GenerateRequest request;
    request.request_id = absl::StrCat("r", number);
    request.tenant = OneIn(8) ? "other" : "tenant";
    if (OneIn(8)) request.cache_salt = "salt";
    // Few adapters and prompts that begin alike, so that there is something to find in the cache.
    if (!OneIn(3)) {
      request.adapter = subject_.adapters.at(static_cast<size_t>(adapters_[Between(0, 2)]));
    }
    const auto& stem = stems_[Between(0, 1)];
    const int from_stem = OneIn(2) ? Between(0, 80) : 80;
    request.prompt.assign(stem.begin(), stem.begin() + from_stem);
    const std::vector<int32_t> tail = Tokens(Between(1, OneIn(2) ? 2 : 30));
    request.prompt.insert(request.prompt.end(), tail.begin(), tail.end());
    if (!OneIn(3))
      Invoke(*subject_.adapters.at(static_cast<size_t>(adapters_[Between(0, 2)])), &request.prompt);
    if (request.adapter != nullptr && !OneIn(4)) Invoke(*request.adapter, &request.prompt);
    request.max_tokens = Between(1, OneIn(2) ? 100 : 20);
    request.num_choices = OneIn(4) ? Between(2, 3) : 1;
    request.sampling = Sampling();
    request.ignore_eos = OneIn(2);
    if (OneIn(4)) request.stop_token_ids = Tokens(8);
    request.priority = Between(0, 1);
    return request;
  }

  // Writes what activates the adapter into the prompt, in one of few places.
  void Invoke(const engine::AdapterVersion& adapter, std::vector<int32_t>* prompt) {
    const std::vector<int32_t>& invocation = adapter.invocation();
    const auto at = static_cast<size_t>(OneIn(2) ? 16 * Between(0, 5) : Between(0, 90));
    if (at + invocation.size() > prompt->size()) return;
    std::copy(invocation.begin(), invocation.end(),
              prompt->begin() + static_cast<std::ptrdiff_t>(at));
  }

  kernels::SamplingParams Sampling() {
    kernels::SamplingParams params;
    params.temperature = OneIn(2) ? 0.0f : 0.25f * static_cast<float>(Between(1, 6));
    if (OneIn(3)) params.top_k = Between(1, 20);
    if (OneIn(3)) params.top_p = 0.8f;
    if (OneIn(4)) params.min_p = 0.05f;
    if (OneIn(4)) params.repetition_penalty = 1.3f;
    if (OneIn(4)) params.presence_penalty = 0.5f;
    if (OneIn(4)) params.frequency_penalty = 0.25f;
    params.seed = static_cast<uint64_t>(Between(0, 1000));
    params.num_logprobs = Between(0, 5);
    return params;
  }

  int64_t LargestRequest() const {
    int64_t largest = 0;
    for (const GenerateRequest& request : requests_) {
      const auto tokens = static_cast<int64_t>(request.prompt.size()) + request.max_tokens;
      int64_t pages = request.num_choices * (tokens / kernels::kPageTokens + 1);
      if (request.adapter != nullptr) pages += request.adapter->layout().num_ids;
      largest = std::max(largest, pages);
    }
    return largest;
  }

  const Subject& subject_;
  std::mt19937 random_;
  std::vector<int32_t> stems_[2];
  int adapters_[3] = {};
  std::vector<GenerateRequest> requests_;
};

// How often what the law is about did happen.
struct Happened {
  uint64_t preemptions = 0, cached_tokens = 0, evictions = 0, cancelled = 0, activated = 0;
};

class LawTest : public testing::TestWithParam<std::pair<const char*, DType>> {
 protected:
  // Each request after the one before has ended, nothing cached, prompts in one piece.
  void StartAlone(const Subject& subject) {
    EngineRunOptions options{.dtype = subject.dtype, .num_pages = kAlonePages};
    options.engine.prefix_cache = false;
    options.engine.max_prefill_chunk = options.engine.max_step_tokens;
    auto run = EngineRun::Start(subject.dir.path(), options);
    ASSERT_TRUE(run.ok()) << run.status();
    alone_ = *std::move(run);
  }

  void RunSeed(const Subject& subject, uint32_t seed) {
    Scenario scenario(subject, seed);
    auto together = EngineRun::Start(subject.dir.path(), scenario.Options());
    ASSERT_TRUE(together.ok()) << together.status();
    std::vector<std::string> cancelled;
    RunTogether(&scenario, together->get(), &cancelled);
    for (const GenerateRequest& request : scenario.requests()) {
      const bool was_cancelled =
          std::count(cancelled.begin(), cancelled.end(), request.request_id) > 0;
      Compare(request, seed, (*together)->heard(request.request_id), was_cancelled);
    }
    const engine::EngineStats stats = (*together)->engine().stats();
    happened_.preemptions += stats.preemptions;
    happened_.cached_tokens += stats.prompt_tokens_cached;
    happened_.evictions += stats.adapter_evictions;
    happened_.cancelled += cancelled.size();
    for (const GenerateRequest& request : scenario.requests()) {
      if (request.adapter == nullptr) continue;
      // From the base to the adapter inside the prompt.
      happened_.activated += ActiveFrom(*request.adapter, request.prompt).value_or(0) > 0;
    }
  }

  // Requests arrive when so many tokens were heard of the others; one in eight is cancelled, and
  // one in eight adapters is deleted while it may be in use.
  void RunTogether(Scenario* scenario, EngineRun* run, std::vector<std::string>* cancelled) {
    int64_t next_arrival = 0;
    for (const GenerateRequest& request : scenario->requests()) {
      while (run->num_live() > 0 && run->tokens_heard() < next_arrival) run->Listen();
      ASSERT_EQ(run->Submit(request), absl::OkStatus());
      if (scenario->OneIn(8)) {
        run->Listen();
        run->engine().Cancel(request.request_id, -1, engine::FinishReason::kCancelled);
        cancelled->push_back(request.request_id);
      }
      if (request.adapter != nullptr && scenario->OneIn(8)) {
        run->engine().Forget(request.adapter->tenant(), request.adapter->digest());
      }
      next_arrival = run->tokens_heard() + (scenario->OneIn(3) ? scenario->Between(0, 40) : 0);
    }
    run->ListenToEnd();
  }

  void Compare(const GenerateRequest& request, uint32_t seed,
               const std::vector<HeardChoice>& together, bool was_cancelled) {
    GenerateRequest again = request;
    again.request_id = absl::StrCat(seed, "/", request.request_id);
    ASSERT_EQ(alone_->Submit(again), absl::OkStatus());
    alone_->ListenToEnd();
    const std::vector<HeardChoice>& alone = alone_->heard(again.request_id);
    ASSERT_EQ(together.size(), alone.size());
    for (size_t choice = 0; choice < alone.size(); ++choice) {
      HeardChoice want = alone[choice];
      const HeardChoice& got = together[choice];
      if (was_cancelled && got.reason == engine::FinishReason::kCancelled) {
        // What it heard until then.
        ASSERT_LE(got.tokens.size(), want.tokens.size());
        want.tokens.resize(got.tokens.size());
        want.reason = got.reason;
        want.stop_token = got.stop_token;
      }
      EXPECT_TRUE(got == want) << request.request_id << " choice " << choice << "\n  together "
                               << got.Text() << "\n  alone    " << want.Text();
    }
  }

  std::unique_ptr<EngineRun> alone_;
  Happened happened_;
};

int FromEnvironment(const char* name, int otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

TEST_P(LawTest, EachRequestHearsWhatItHearsAlone) {
  const auto [name, dtype] = GetParam();
  const Subject subject(name, dtype);
  StartAlone(subject);
  const int only = FromEnvironment("CHORUS_LAW_SEED", 0);
#ifdef CHORUS_SANITIZED
  int seeds = FromEnvironment("CHORUS_LAW_SEEDS", 5);
#else
  int seeds = FromEnvironment("CHORUS_LAW_SEEDS", 100);
#endif
  const int most_seeds = 10 * seeds;
  for (int seed = only > 0 ? only : 1; seed <= (only > 0 ? only : seeds); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    RunSeed(subject, static_cast<uint32_t>(seed));
    if (HasFailure()) return;
    // What a schedule meets depends on the machine too: go on until all of it has happened.
    const bool all =
        happened_.preemptions > 0 && happened_.cached_tokens > 0 && happened_.evictions > 0;
    if (seed == seeds && !all && seeds < most_seeds) ++seeds;
  }
  printf(
      "%s: %d seeds, %lu preemptions, %lu prompt tokens found, %lu adapters evicted, "
      "%lu requests cancelled, %lu activated inside the prompt\n",
      name, seeds, happened_.preemptions, happened_.cached_tokens, happened_.evictions,
      happened_.cancelled, happened_.activated);
  if (only > 0) return;
  EXPECT_GT(happened_.preemptions, 0u);
  EXPECT_GT(happened_.cached_tokens, 0u);
  EXPECT_GT(happened_.evictions, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Cpu, LawTest,
    testing::Values(std::pair("llama_minimal", DType::kF32), std::pair("qwen3", DType::kF32),
                    std::pair("llama_tied", DType::kBf16), std::pair("qwen2", DType::kBf16),
                    std::pair("llama_alora", DType::kF32), std::pair("qwen3_alora", DType::kBf16)),
    [](const auto& info) {
      return absl::StrCat(info.param.first, "_", std::string(kernels::Name(info.param.second)));
    });

}  // namespace
}  // namespace chorus::test
