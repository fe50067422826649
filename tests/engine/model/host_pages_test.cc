// Pages of KV that leave a pool on the CPU and come back.
#include "tests/support/host_pages_trip.h"
#include "tests/support/linears_adapter.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chorus::test {
namespace {

class HostPagesTest : public testing::TestWithParam<kernels::DType> {};

TEST_P(HostPagesTest, GoAndComeBack) {
  TempDir dir;
  TinyModel::Make("LlamaForCausalLM", engine::Json::object()).Write(dir.path());
  for (const int workers : {1, 3}) {
    const auto host =
        ModelHost::Open(dir.path(), {.dtype = GetParam(), .num_workers = workers, .host_pages = 7});
    ASSERT_TRUE(host.ok()) << host.status();
    const auto adapter = LinearsAdapter((*host)->config(), (*host)->pool_view(), 8, 100);
    ASSERT_TRUE(adapter.ok()) << adapter.status();
    const auto slot = (*host)->Load(*adapter);
    ASSERT_TRUE(slot.ok()) << slot.status();
    ExpectPagesComeBack(**host, *slot, 7);
  }
}
INSTANTIATE_TEST_SUITE_P(Types, HostPagesTest,
                         testing::Values(kernels::DType::kF32, kernels::DType::kBf16));

}  // namespace
}  // namespace chorus::test
