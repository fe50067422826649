#include "tests/server/grpc/daemon_contract.h"

#include <thread>

#include "gtest/gtest.h"
#include "tests/server/grpc/served.h"

namespace chorus::test {
namespace {

constexpr int kTokens = 8;
// A page and some tokens more: what is left of it after a hit is still a prompt's piece, computed
// in the same shapes.
constexpr char kPrompt[] = "the quick brown fox jumps";

class DaemonContract : public testing::TestWithParam<DaemonDevice> {
 protected:
  void SetUp() override {
    auto device = GetParam().open();
    if (device.status().code() == absl::StatusCode::kFailedPrecondition) {
      GTEST_SKIP() << device.status();
    }
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = device->device.get();
    name_ = device->name;
    served_ = std::make_unique<Served>(SmallDaemon(), *std::move(device));
    for (size_t i = 1; i < models_.size(); ++i) {
      const grpc::Status stored =
          served_->Upload(models_[i], served_->MakeAdapter(i, 8 * static_cast<int>(i)));
      ASSERT_TRUE(stored.ok()) << stored.error_message();
    }
  }

  std::vector<int32_t> Ask(const std::string& model) {
    const Served::Answer answer = served_->Generate(TextRequest(model, kPrompt, kTokens));
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_EQ(answer.ids.size(), size_t{kTokens});
    return answer.ids;
  }

  const std::vector<std::string> models_ = {"base", "a", "b", "c"};
  kernels::Device* device_ = nullptr;
  std::string name_;
  std::unique_ptr<Served> served_;
};

TEST_P(DaemonContract, SaysWhereItRuns) {
  v1::ServerInfo info;
  grpc::ClientContext context;
  ASSERT_TRUE(served_->admin().GetServerInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.device(), name_);
  EXPECT_EQ(info.dtype(), GetParam().dtype);
  EXPECT_GT(info.weight_bytes(), 0);
  EXPECT_GT(info.pool_pages(), 0);
}

// Greedy answers do not change because an adapter is there already, or the prompt's pages; beside
// others they are computed in steps of other shapes, whose last bits may differ, but never become
// somebody else's.
TEST_P(DaemonContract, EachAdapterAnswersAloneAndBesideOthers) {
  std::vector<std::vector<int32_t>> alone;
  for (const std::string& model : models_) {
    const std::vector<int32_t> ids = Ask(model);
    for (const std::vector<int32_t>& other : alone) EXPECT_NE(ids, other) << model;
    alone.push_back(ids);
  }
  for (size_t i = 0; i < models_.size(); ++i) EXPECT_EQ(Ask(models_[i]), alone[i]) << models_[i];
  std::vector<std::vector<int32_t>> together(12);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < together.size(); ++i) {
    threads.emplace_back([&, i] { together[i] = Ask(models_[i % models_.size()]); });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < together.size(); ++i) {
    for (size_t m = 0; m < models_.size(); ++m) {
      if (m != i % models_.size()) {
        EXPECT_NE(together[i], alone[m]) << models_[m];
      }
    }
  }
  ASSERT_TRUE(served_->Idle());
  EXPECT_EQ(device_->counters().allocations_after_seal, 0);
}

INSTANTIATE_TEST_SUITE_P(All, DaemonContract, testing::ValuesIn(DaemonDevices()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace chorus::test
