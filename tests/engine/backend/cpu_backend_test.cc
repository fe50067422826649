#include "engine/backend/backend.h"
#include "gtest/gtest.h"
#include "tests/support/golden.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {
namespace {

TEST(CpuBackendTest, HasThePoolThatWasAskedForAndSaysWhereMemoryWent) {
  const Golden golden("llama_minimal");
  const TempDir dir;
  golden.WriteModel(dir.path());
  engine::BackendSpec spec;
  spec.model_dir = dir.path();
  spec.config = *engine::ModelConfig::Load(dir.path());
  spec.vocabulary = 90;
  spec.memory.pool_bytes = 5'000'000;
  auto backend = engine::MakeCpuBackend(spec);
  ASSERT_TRUE(backend.ok()) << backend.status();
  const int64_t page_bytes = backend->pool.total_bytes() / backend->pool.num_ids;
  EXPECT_EQ(backend->pool.num_ids, 5'000'000 / page_bytes);
  EXPECT_NE(backend->pool.base, nullptr);
  EXPECT_EQ(backend->pool.b_tiles, kernels::BTileOrder::kRankRows);
  EXPECT_EQ(backend->limits.max_step_penalties, engine::RunnerLimits::kNone);
  ASSERT_EQ(backend->memory.size(), 4u);
  EXPECT_EQ(backend->memory[0].bytes, backend->weights_bytes);
  EXPECT_EQ(backend->memory[2].of, "pool");
  EXPECT_EQ(backend->memory[2].bytes, backend->pool.total_bytes());
  EXPECT_EQ(backend->memory[3].bytes, 0);
  EXPECT_EQ(backend->limits.host_pages, 0);
  EXPECT_EQ(backend->pinned_bytes, 0);

  spec.memory.pool_bytes = page_bytes - 1;
  EXPECT_EQ(engine::MakeCpuBackend(spec).status().code(), absl::StatusCode::kInvalidArgument);
  spec.memory.pool_bytes = 0;
  backend = engine::MakeCpuBackend(spec);
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ(backend->pool.num_ids, engine::MemoryOptions::kCpuPoolBytes / page_bytes);

  spec.memory.kv_host_bytes = 7 * page_bytes + 1;
  backend = engine::MakeCpuBackend(spec);
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ(backend->limits.host_pages, 7);
  EXPECT_GT(backend->limits.host_page_time, absl::ZeroDuration());
  EXPECT_EQ(backend->memory[3].bytes, 7 * page_bytes);
}

}  // namespace
}  // namespace chorus::test
