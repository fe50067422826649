// The bound of fair_queue.h, measured from outside on random schedules: prompts and tokens that
// tenants got, by what their streams say, under weights, preemption, cold adapters, evictions,
// several choices and cancellation.
#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/schedule/scheduler_harness.h"

namespace chorus::engine {
namespace {

class FairSchedule {
 public:
  explicit FairSchedule(uint32_t seed)
      : random_(seed), options_(RandomOptions()), harness_(options_, Between(12, 36)) {
    for (int i = 0; i < 5; ++i) {
      adapters_.push_back(harness_.Adapter("adapter" + std::to_string(i), Between(1, 3)));
    }
  }

  void Play(int turns) {
    for (int turn = 0; turn < turns; ++turn) {
      for (auto& [name, tenant] : tenants_) {
        // Most tenants want more than there is; some pause for a while.
        if (Chance(1)) tenant.paused = !tenant.paused;
        while (!tenant.paused && Waiting(tenant) < 3) Arrive(name, &tenant);
      }
      if (Chance(2)) CancelOne();
      if (Chance(60) && !harness_.loads().under_way.empty()) harness_.EndLoad();
      const std::set<std::string> ready = Ready();
      harness_.Step();
      Hear();
      Measure(ready);
    }
  }

  // Of the largest difference that any pair may have.
  double largest_share() const { return largest_share_; }
  double largest_service() const {
    double most = 0.0;
    for (const auto& [name, tenant] : tenants_) most = std::max(most, tenant.service);
    return most;
  }
  double bound() const {
    double bound = 0.0;
    for (const auto& [name, tenant] : tenants_) {
      bound = std::max(bound, (tenant.largest_prompt + 2.0 * tenant.most_running) / tenant.weight);
    }
    return 2.0 * (bound + options_.max_overtakes * options_.max_prefill_chunk);
  }
  uint64_t preemptions() const { return harness_.Stats().preemptions; }
  uint64_t loads() const { return harness_.Stats().adapter_loads; }

 private:
  struct Live {
    GenerateRequest request;
    bool admitted = false;
    std::vector<size_t> heard;  // tokens of each choice
  };
  struct Tenant {
    double weight = 1.0;
    double service = 0.0;
    double largest_prompt = 0.0;
    double most_running = 0.0;  // tokens that admitted requests could still draw
    bool paused = false;
    std::map<std::string, Live> live;
  };
  struct Range {
    double least = std::numeric_limits<double>::infinity();
    double most = -std::numeric_limits<double>::infinity();
  };

  int64_t Between(int64_t least, int64_t most) {
    return least + static_cast<int64_t>(random_() % static_cast<uint64_t>(most - least + 1));
  }
  bool Chance(int percent) { return Between(1, 100) <= percent; }

  EngineOptions RandomOptions() {
    EngineOptions options;
    options.admission = static_cast<AdmissionMode>(Between(0, 2));
    options.max_running = static_cast<int32_t>(Between(3, 8));
    options.max_step_tokens = static_cast<int32_t>(Between(16, 64));
    options.max_prefill_chunk = static_cast<int32_t>(Between(4, 32));
    options.max_step_adapters = static_cast<int32_t>(Between(2, 6));
    options.max_overtakes = static_cast<int32_t>(Between(0, 6));
    options.cluster_adapters = Chance(30) ? static_cast<int32_t>(Between(1, 3)) : 0;
    options.admission_watermark = Chance(50) ? 0.0 : 0.05;
    options.pin_budget = 0.0;
    options.prefix_cache = Chance(50);
    options.max_loads = static_cast<int32_t>(Between(1, 3));
    options.adapter_page_price = 0.0;  // a test of its own has it
    const int64_t tenants = Between(2, 5);
    for (int64_t i = 0; i < tenants; ++i) {
      const double weight = Chance(40) ? 0.5 * static_cast<double>(Between(1, 8)) : 1.0;
      const std::string name = "t" + std::to_string(i);
      options.tenant_weights[name] = weight;
      tenants_[name].weight = weight;
      tenants_[name].paused = Chance(20);
    }
    return options;
  }

  static int64_t Waiting(const Tenant& tenant) {
    return std::count_if(tenant.live.begin(), tenant.live.end(),
                         [](const auto& entry) { return !entry.second.admitted; });
  }

  void Arrive(const std::string& name, Tenant* tenant) {
    Live live;
    live.request = MakeRequest("r" + std::to_string(arrived_++), static_cast<int>(Between(1, 60)),
                               static_cast<int>(Between(1, 40)),
                               Chance(30) ? adapters_[random_() % adapters_.size()] : nullptr);
    GenerateRequest& request = live.request;
    for (int32_t& token : request.prompt) token = static_cast<int32_t>(Between(1, 96));
    request.tenant = name;
    request.num_choices = Chance(15) ? static_cast<int32_t>(Between(2, 3)) : 1;
    request.priority = static_cast<int32_t>(Between(0, 1));
    live.heard.resize(static_cast<size_t>(request.num_choices));
    if (!harness_.Submit(request).ok()) return;  // larger than the pool
    tenant->largest_prompt =
        std::max(tenant->largest_prompt, static_cast<double>(request.prompt.size()));
    tenant->live.emplace(request.request_id, std::move(live));
  }

  void CancelOne() {
    auto tenant = tenants_.begin();
    std::advance(tenant, static_cast<ptrdiff_t>(random_() % tenants_.size()));
    if (tenant->second.live.empty()) return;
    auto live = tenant->second.live.begin();
    std::advance(live, static_cast<ptrdiff_t>(random_() % tenant->second.live.size()));
    harness_.scheduler().Cancel(live->first, -1, FinishReason::kCancelled);
    harness_.Listen();
    Hear();
  }

  // Tenants that wait for room alone: no adapter of theirs is missing.
  std::set<std::string> Ready() {
    std::set<AdapterDigest> resident;
    for (const AdapterResidency& adapter : harness_.scheduler().AdapterSnapshot()) {
      if (adapter.state == ResidencyState::kResident) resident.insert(adapter.digest);
    }
    std::set<std::string> ready;
    for (const auto& [name, tenant] : tenants_) {
      const bool all_there =
          std::all_of(tenant.live.begin(), tenant.live.end(), [&](const auto& entry) {
            const AdapterRef& adapter = entry.second.request.adapter;
            return adapter == nullptr || resident.contains(adapter->digest());
          });
      if (all_there && Waiting(tenant) > 0) ready.insert(name);
    }
    return ready;
  }

  // What streams say is what tenants are charged.
  void Hear() {
    for (auto& [name, tenant] : tenants_) {
      double running = 0.0;
      for (auto it = tenant.live.begin(); it != tenant.live.end();) {
        auto& [id, live] = *it;
        if (!live.admitted && harness_.Admitted(id)) {
          live.admitted = true;
          tenant.service += static_cast<double>(live.request.prompt.size()) -
                            harness_.Admission(id).cached_tokens;
        }
        bool ended = true;
        for (size_t c = 0; c < live.heard.size(); ++c) {
          const auto choice = static_cast<int32_t>(c);
          const size_t tokens = harness_.Hear(id, choice).tokens.size();
          const auto fresh = static_cast<double>(tokens - live.heard[c]);
          tenant.service += 2.0 * fresh;
          live.heard[c] = tokens;
          ended &= harness_.Ended(id, choice);
          if (live.admitted)
            running += live.request.max_tokens - static_cast<double>(tokens) + fresh;
        }
        it = ended ? tenant.live.erase(it) : std::next(it);
      }
      tenant.most_running = std::max(tenant.most_running, running);
    }
  }

  void Measure(const std::set<std::string>& ready) {
    for (const auto& [f, first] : tenants_) {
      for (const auto& [g, second] : tenants_) {
        if (f >= g) continue;
        Range& range = ranges_[{f, g}];
        // One that was admitted last leaves the queue, and is lifted when it comes again.
        if (!ready.contains(f) || !ready.contains(g) || Waiting(first) == 0 ||
            Waiting(second) == 0) {
          range = {};
          continue;
        }
        const double difference = first.service / first.weight - second.service / second.weight;
        range.least = std::min(range.least, difference);
        range.most = std::max(range.most, difference);
        largest_share_ = std::max(largest_share_, (range.most - range.least) / bound());
      }
    }
  }

  std::mt19937 random_;
  std::map<std::string, Tenant> tenants_;
  const EngineOptions options_;
  SchedulerHarness harness_;
  std::vector<AdapterRef> adapters_;
  std::map<std::pair<std::string, std::string>, Range> ranges_;
  int arrived_ = 0;
  double largest_share_ = 0.0;
};

TEST(FairnessPropertyTest, TenantsThatWantMoreGetTheirShares) {
  uint64_t preemptions = 0, loads = 0;
  double largest_share = 0.0, service = 0.0;
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    FairSchedule schedule(seed);
    schedule.Play(2000);
    ASSERT_LE(schedule.largest_share(), 1.0);
    preemptions += schedule.preemptions();
    loads += schedule.loads();
    largest_share = std::max(largest_share, schedule.largest_share());
    service = std::max(service, schedule.largest_service() / schedule.bound());
  }
  // The schedules went where it hurts, the bound is not far away, and far less than what was given.
  EXPECT_GT(preemptions, 100u);
  EXPECT_GT(loads, 1000u);
  EXPECT_GT(largest_share, 0.3);
  EXPECT_GT(service, 5.0);
  RecordProperty("largest_share", std::to_string(largest_share));
}

// A flood of one tenant's requests, admitted and waiting, and one request of another.
TEST(FairnessTest, AFloodDelaysOthersByWhatRunsAlone) {
  EngineOptions options;
  options.max_running = 16;
  options.max_step_tokens = 64;
  options.max_prefill_chunk = 32;
  options.prefix_cache = false;
  SchedulerHarness harness(options, 400);
  const auto submit = [&](const std::string& id, const std::string& tenant) {
    GenerateRequest request = MakeRequest(id, 200, 4);
    request.tenant = tenant;
    ASSERT_TRUE(harness.Submit(request).ok());
  };
  for (int i = 0; i < 300; ++i) submit("flood" + std::to_string(i), "flood");
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(harness.Step());
  for (int round = 0; round < 5; ++round) {
    const std::string id = "one" + std::to_string(round);
    submit(id, "other");
    int steps = 0;
    for (; harness.Hear(id).tokens.empty(); ++steps) {
      ASSERT_LT(steps, 100);
      ASSERT_TRUE(harness.Step());
    }
    // A sequence of the flood ends (its prompt is 4 steps of 64 rows, 4 tokens), then its own 200
    // rows, a chunk a step, come before all the flood's.
    EXPECT_LE(steps, 8 + 7 + 1) << id;
    harness.Step();
  }
}

// One tenant's requests want all rows at once and cost little. Another's pass them, as a third
// takes a row in every step, and cost much.
TEST(FairnessTest, WhoPassesMaySpendNoMoreThanTheSlack) {
  EngineOptions options;
  options.max_running = 4;
  options.max_step_tokens = 64;
  options.max_prefill_chunk = 8;
  options.max_overtakes = 16;
  options.prefix_cache = false;
  options.tenant_weights = {{"steady", 1000.0}};
  SchedulerHarness harness(options, 400);
  const auto submit = [&](const std::string& tenant, int i, int prompt, int n) {
    GenerateRequest request = MakeRequest(tenant + std::to_string(i), prompt, 1);
    request.tenant = tenant;
    request.num_choices = n;
    ASSERT_TRUE(harness.Submit(request).ok());
  };
  for (int i = 0; i < 1000; ++i) {
    submit("wide", i, 1, 4);
    submit("narrow", i, 40, 1);
  }
  int wide = 0, narrow = 0;  // requests that were admitted
  for (int step = 0; step < 2000 && wide < 1000 && narrow < 1000; ++step) {
    submit("steady", step, 1, 1);
    ASSERT_TRUE(harness.Step());
    while (harness.Admitted("wide" + std::to_string(wide))) ++wide;
    while (harness.Admitted("narrow" + std::to_string(narrow))) ++narrow;
    ASSERT_LE(narrow * (40 + 2) - wide * (1 + 2 * 4), 2 * (16 * 8 + 4 * (40 + 2))) << step;
  }
  EXPECT_GT(narrow, 50);
  EXPECT_GT(wide, 200);
}

TEST(FairnessTest, ATenantAloneGetsEverything) {
  EngineOptions options;
  options.max_running = 4;
  options.tenant_weights = {{"small", 0.01}};
  SchedulerHarness harness(options, 64);
  for (int i = 0; i < 8; ++i) {
    GenerateRequest request = MakeRequest("r" + std::to_string(i), 4, 10, nullptr, i);
    request.tenant = "small";
    ASSERT_TRUE(harness.Submit(request).ok());
  }
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(harness.Step());
    EXPECT_THAT(harness.last_plan().samples, testing::SizeIs(4)) << i;
  }
  EXPECT_FALSE(harness.Step());
}

// Two tenants with the same requests, one with an adapter of its own for each.
TEST(FairnessTest, LoadsAreChargedAtTheirPrice) {
  EngineOptions options;
  options.max_running = 2;
  options.max_overtakes = 0;
  options.max_loads = 64;
  options.adapter_page_price = 10.0;
  options.prefix_cache = false;
  SchedulerHarness harness(options, 2000);
  for (int i = 0; i < 200; ++i) {
    GenerateRequest cold = MakeRequest("cold" + std::to_string(i), 10, 5,
                                       harness.Adapter("adapter" + std::to_string(i), 2));
    cold.tenant = "cold";
    GenerateRequest base = MakeRequest("base" + std::to_string(i), 10, 5);
    base.tenant = "base";
    ASSERT_TRUE(harness.Submit(cold).ok());
    ASSERT_TRUE(harness.Submit(base).ok());
  }
  int cold = 0, base = 0;
  for (int step = 0; step < 200; ++step) {
    harness.Step();
    while (!harness.loads().under_way.empty()) harness.EndLoad();
  }
  for (int i = 0; i < 200; ++i) {
    cold += harness.Ended("cold" + std::to_string(i));
    base += harness.Ended("base" + std::to_string(i));
  }
  // 10 + 2·5 against 10 + 2·5 + 2·10.
  EXPECT_NEAR(static_cast<double>(base) / cold, 2.0, 0.2);
}

}  // namespace
}  // namespace chorus::engine
