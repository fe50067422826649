// FairQueue: the sequences that wait, in the order in which they should be admitted. Within a
// tenant preempted ones go first, then by priority, deadline and arrival; across tenants by virtual
// token counters (VTC: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024).
// Engine thread only; O(log tenants) a change.
//
// A tenant's counter grows by service / weight. Service is, at a sequence's first admission, its
// uncached prompt tokens and the pages of its adapter that were loaded for it, at a price; then 2
// for each token drawn. What a preemption makes the engine do again is free. The smallest counter
// goes first; a tenant alone gets everything.
//
// A tenant is ready while the first of its waiting sequences could run if there was room: its
// adapter does not have to come first. One that becomes ready is lifted to the smallest counter of
// those that are (if none is, of the last one that was): nobody saves up what he did not ask for.
//
// The bound. Let `least` be the smallest counter of a ready tenant: it never falls. Admission takes
// a sequence only while its tenant's counter is at most least + slack, where slack is what may be
// spent on passing a ready tenant whose first sequence is blocked (admission.h). Behind that
// admission a counter grows by its charge P and by the R tokens that the tenant's running sequences
// may still draw. So all ready tenants lie within U of each other, and while f and g are ready,
//
//   |W_f / w_f − W_g / w_g|  ≤  2·U,    U = slack + max over tenants of (P + 2·R) / w.
//
// (P + 2·R is the paper's max(w_p·L_input, w_q·M), for an engine that does not preempt for
// fairness: R ≤ max_running · max_tokens.) tests/engine/schedule/fairness_property_test.cc measures
// it.
#ifndef CHORUS_ENGINE_SCHEDULE_FAIR_QUEUE_H_
#define CHORUS_ENGINE_SCHEDULE_FAIR_QUEUE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/schedule/request.h"

namespace chorus::engine {

struct AdmittedBefore {
  bool operator()(const Sequence* a, const Sequence* b) const {
    if ((a->preemptions > 0) != (b->preemptions > 0)) return a->preemptions > 0;
    const GenerateRequest& x = a->request->spec;
    const GenerateRequest& y = b->request->spec;
    if (x.priority != y.priority) return x.priority > y.priority;
    if (x.deadline != y.deadline) return x.deadline < y.deadline;
    return a->OlderThan(*b);
  }
};

// A tenant's account. It lives while requests of it do, and until it would be lifted anyway.
struct Tenant {
  std::string name;
  double weight = 1.0;
  double counter = 0.0;  // service charged / weight, and lifts
  int64_t requests = 0;  // alive
  std::set<Sequence*, AdmittedBefore> waiting;

  // FairQueue's own
  bool asleep = false;  // waits, but is not ready
  uint64_t turn = 0;    // since when it waits: the older of two with equal counters goes first
  uint64_t walk = 0;    // the last that opened it
  // PromptTurns' own
  double prompt_clock = 0.0;  // rows / weight, and lifts
  uint64_t prompt_step = 0;   // the last in which it had prompts
};

struct SmallerCounter {
  bool operator()(const Tenant* a, const Tenant* b) const {
    return a->counter != b->counter ? a->counter < b->counter : a->turn < b->turn;
  }
};

class FairQueue {
 public:
  // Tenants that `weights` does not name have weight 1. REQUIRES: weights are positive and finite.
  explicit FairQueue(std::map<std::string, double> weights) : weights_(std::move(weights)) {}

  // The account of a request that comes; Close when it has ended.
  Tenant* Open(const std::string& name);
  void Close(Tenant* tenant);

  // REQUIRES: its request's tenant is open.
  void Add(Sequence* sequence);
  // REQUIRES: what the order looks at (preemptions, priority …) is as it was at Add.
  void Remove(Sequence* sequence);
  void Charge(Tenant* tenant, double service);

  int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t num_accounts() const { return static_cast<int64_t>(accounts_.size()); }

  // What a sequence's admission is expected to charge.
  static double ExpectedCharge(const Sequence& sequence);

  // The sequences in the order in which they would be admitted, each charged, if there was room for
  // all. What was given may be admitted, and charged, on the way; nothing else may change.
  class Walk {
   public:
    // `ready`, where there is one, decides which of the tenants it comes to are ready from now on.
    explicit Walk(FairQueue* queue, std::function<bool(const Sequence&)> ready = nullptr);
    // Null: that was all.
    Sequence* Next();

   private:
    struct Cursor {
      Tenant* tenant = nullptr;
      std::set<Sequence*, AdmittedBefore>::const_iterator next;
      double passed = 0.0;  // expected charges of those it gave that still wait, / weight

      double key() const { return tenant->counter + passed; }
    };
    static bool Later(const Cursor& a, const Cursor& b);
    void Push(const Cursor& cursor);
    Tenant* NextTenant();
    void Open(Tenant* tenant);

    FairQueue* const queue_;
    const std::function<bool(const Sequence&)> ready_;
    std::set<Tenant*, SmallerCounter>::const_iterator unopened_[2];  // awake, asleep
    std::vector<Cursor> heap_;
    Cursor given_;  // where last_ is from
    Sequence* last_ = nullptr;
  };

 private:
  using ByCounter = std::set<Tenant*, SmallerCounter>;

  ByCounter& SetOf(const Tenant& tenant) { return waiting_[tenant.asleep ? 1 : 0]; }
  double Least() const;
  void Lift(Tenant* tenant);
  void SetAsleep(Tenant* tenant, bool asleep);
  void Leave(Tenant* tenant);
  void DropOld();

  const std::map<std::string, double> weights_;
  absl::flat_hash_map<std::string, std::unique_ptr<Tenant>> accounts_;
  ByCounter waiting_[2];  // tenants with sequences that wait: awake, asleep
  ByCounter closed_;      // without requests, but with counters that are still too large to forget
  double least_ = 0.0;    // while nobody is awake: what Least() is at least
  Tenant* last_awake_ = nullptr;
  int64_t size_ = 0;
  uint64_t turns_ = 0;
  uint64_t walks_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_FAIR_QUEUE_H_
