#include "engine/schedule/fair_queue.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

using ::testing::ElementsAre;

class FairQueueTest : public ::testing::Test {
 protected:
  ~FairQueueTest() override {
    for (const auto& request : requests_) {
      if (request->tenant != nullptr) End(request.get());
    }
  }

  // A request of one choice, named "tenant/prompt".
  Request* Add(const std::string& tenant, size_t prompt, int32_t priority = 0) {
    auto request = std::make_unique<Request>();
    request->spec.request_id = tenant + "/" + std::to_string(prompt);
    request->spec.prompt.resize(prompt);
    request->spec.priority = priority;
    request->serial = requests_.size();
    request->tenant = queue_.Open(tenant);
    request->sequences.push_back(std::make_unique<Sequence>());
    request->sequences[0]->request = request.get();
    queue_.Add(request->sequences[0].get());
    requests_.push_back(std::move(request));
    return requests_.back().get();
  }
  void Admit(Sequence* sequence) {
    queue_.Remove(sequence);
    queue_.Charge(sequence->request->tenant, FairQueue::ExpectedCharge(*sequence));
    sequence->state = Sequence::State::kRunning;
  }
  void End(Request* request) {
    Sequence* const sequence = request->sequences[0].get();
    if (sequence->state == Sequence::State::kWaiting) queue_.Remove(sequence);
    queue_.Close(request->tenant);
    request->tenant = nullptr;
  }
  // Who comes, in order; nobody is admitted.
  std::vector<std::string> Order() {
    std::vector<std::string> order;
    FairQueue::Walk walk(&queue_);
    while (const Sequence* sequence = walk.Next()) {
      order.push_back(sequence->request->spec.request_id);
    }
    return order;
  }

  std::vector<std::unique_ptr<Request>> requests_;
  FairQueue queue_{{{"double", 2.0}, {"half", 0.5}}};
};

TEST_F(FairQueueTest, TheSmallestCounterGoesFirstAsIfAllBeforeWereAdmitted) {
  Add("a", 10);
  Add("a", 11);
  Add("a", 12);
  Add("b", 100);
  Add("b", 101);
  EXPECT_THAT(Order(), ElementsAre("a/10", "b/100", "a/11", "a/12", "b/101"));
  queue_.Charge(requests_[0]->tenant, 150);
  EXPECT_THAT(Order(), ElementsAre("b/100", "b/101", "a/10", "a/11", "a/12"));
}

TEST_F(FairQueueTest, WeightsDivideWhatIsCharged) {
  for (size_t prompt : {20, 21, 22}) Add("double", prompt);
  for (size_t prompt : {10, 11}) Add("half", prompt);
  // 10, 20.5, 31.5 against 20.
  EXPECT_THAT(Order(), ElementsAre("double/20", "half/10", "double/21", "half/11", "double/22"));
}

TEST_F(FairQueueTest, AdmissionOnTheWayIsTheSameOrder) {
  for (size_t prompt : {10, 30, 12, 40}) Add("a", prompt);
  for (size_t prompt : {25, 26, 5}) Add("b", prompt);
  const std::vector<std::string> expected = Order();
  std::vector<std::string> order;
  FairQueue::Walk walk(&queue_);
  while (Sequence* sequence = walk.Next()) {
    order.push_back(sequence->request->spec.request_id);
    if (order.size() % 2 == 0) Admit(sequence);
  }
  EXPECT_EQ(order, expected);
  EXPECT_EQ(queue_.size(), 4);
}

TEST_F(FairQueueTest, WithinATenantPreemptedThenPriorityThenArrival) {
  Add("a", 1);
  Add("a", 2, /*priority=*/1);
  Request* const preempted = Add("a", 3);
  queue_.Remove(preempted->sequences[0].get());
  preempted->sequences[0]->preemptions = 1;
  queue_.Add(preempted->sequences[0].get());
  EXPECT_THAT(Order(), ElementsAre("a/3", "a/2", "a/1"));
}

TEST_F(FairQueueTest, WhoComesBackIsLiftedToTheLeastOfThoseThatWait) {
  Request* const first = Add("a", 1);
  Add("b", 2);
  Add("c", 3);
  queue_.Charge(requests_[1]->tenant, 70);
  queue_.Charge(requests_[2]->tenant, 90);
  Admit(first->sequences[0].get());
  EXPECT_EQ(first->tenant->counter, 1);
  Add("a", 4);
  EXPECT_EQ(first->tenant->counter, 70);
  EXPECT_EQ(Add("d", 5)->tenant->counter, 70);
  queue_.Charge(first->tenant, 1000);
  Request* const last = Add("a", 6);  // it waits already: nothing changes
  EXPECT_EQ(last->tenant->counter, 1070);
}

TEST_F(FairQueueTest, IntoAnEmptyQueueOneIsLiftedToTheLastThatLeftIt) {
  Request* const a = Add("a", 10);
  Admit(a->sequences[0].get());
  queue_.Charge(a->tenant, 500);  // it still runs
  EXPECT_EQ(Add("b", 1)->tenant->counter, 510);
}

TEST_F(FairQueueTest, WhoHadToWaitForHisAdapterHasSavedNothingUp) {
  Add("cold", 10);
  Request* const warm = Add("warm", 10);
  Add("warm", 11);
  const auto is_warm = [](const Sequence& s) { return s.request->tenant->name == "warm"; };
  {
    FairQueue::Walk walk(&queue_, is_warm);
    while (Sequence* sequence = walk.Next()) {
      if (sequence->request == warm) Admit(sequence);
    }
  }
  queue_.Charge(warm->tenant, 90);
  EXPECT_EQ(Order()[0], "cold/10");  // it is still asked first
  FairQueue::Walk walk(&queue_, [](const Sequence&) { return true; });
  walk.Next();
  EXPECT_EQ(requests_[0]->tenant->counter, 100);
}

TEST_F(FairQueueTest, AccountsGoWhenTheyWouldBeLiftedAnyway) {
  Request* const heavy = Add("heavy", 10);
  Admit(heavy->sequences[0].get());
  queue_.Charge(heavy->tenant, 500);
  for (int i = 0; i < 1000; ++i) {
    Request* const request = Add("t" + std::to_string(i), 10);
    Admit(request->sequences[0].get());
    End(request);
  }
  EXPECT_LE(queue_.num_accounts(), 3);
  Add("waiting", 1);
  End(heavy);  // its 510 are more than the least, 510 + …: kept or not, it may not fall behind
  EXPECT_GE(Add("heavy", 1)->tenant->counter, 510);
}

}  // namespace
}  // namespace chorus::engine
