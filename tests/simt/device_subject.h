// What tests of the runner of devices share: a golden's model with adapters on the simulator or on
// the CPU, and bits that differ.
#ifndef CHORUS_TESTS_SIMT_DEVICE_SUBJECT_H_
#define CHORUS_TESTS_SIMT_DEVICE_SUBJECT_H_

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/simt/sim_backend.h"
#include "tests/support/golden.h"
#include "tests/support/memory_adapter.h"
#include "tests/support/temp_dir.h"

namespace chorus::test {

// A golden's model with its first adapters in slots 0 …, on the simulator or on the CPU.
class DeviceSubject {
 public:
  explicit DeviceSubject(const std::string& name) : golden_(name) {
    golden_.WriteModel(dir_.path());
  }

  std::unique_ptr<ModelHost> OnSim(
      const kernels::SimOptions& sim, kernels::DType dtype = kernels::DType::kBf16,
      size_t adapters = 4, const engine::DeviceRunnerOptions& options = {.max_graph_rows = 0}) {
    auto host = TryOnSim(sim, dtype, adapters, options);
    if (!host.ok()) ADD_FAILURE() << host.status();
    return *std::move(host);
  }
  // For a device that may fail.
  absl::StatusOr<std::unique_ptr<ModelHost>> TryOnSim(const kernels::SimOptions& sim,
                                                      kernels::DType dtype, size_t adapters,
                                                      const engine::DeviceRunnerOptions& options) {
    return On(OnSimulator(sim), dtype, adapters, options);
  }
  absl::StatusOr<std::unique_ptr<ModelHost>> On(const MakeDevice& make, kernels::DType dtype,
                                                size_t adapters,
                                                const engine::DeviceRunnerOptions& options) {
    auto host = DeviceBackend::Open(dir_.path(), {.dtype = dtype, .num_pages = 512}, make, options);
    return host.ok() ? Loaded(std::move(host), adapters) : std::move(host);
  }
  std::unique_ptr<ModelHost> OnCpu(size_t adapters = 4) {
    return Loaded(ModelHost::Open(dir_.path(), {.dtype = kernels::DType::kBf16, .num_pages = 512}),
                  adapters);
  }

 private:
  std::unique_ptr<ModelHost> Loaded(absl::StatusOr<std::unique_ptr<ModelHost>> host,
                                    size_t adapters) {
    if (!host.ok()) ADD_FAILURE() << host.status();
    const std::vector<std::string> names = golden_.adapters();
    for (size_t i = 0; i < adapters; ++i) {
      const Golden::AdapterFiles files = golden_.MakeAdapter(names.at(i));
      const auto adapter = MemoryAdapter::Make("tenant", names[i], files.config, files.tensors,
                                               (*host)->config(), (*host)->pool_view());
      EXPECT_TRUE(adapter.ok()) << adapter.status();
      const auto slot = (*host)->Load(*adapter);
      EXPECT_TRUE(slot.ok()) << slot.status();
    }
    return *std::move(host);
  }

  const Golden golden_;
  TempDir dir_;
};

inline std::vector<int32_t> RandomTokens(std::mt19937& random, const ModelHost& host, int count) {
  std::vector<int32_t> tokens;
  std::uniform_int_distribution<int32_t> draw(3, host.config().vocabulary - 1);
  for (int i = 0; i < count; ++i) tokens.push_back(draw(random));
  return tokens;
}

inline size_t DifferentBits(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  size_t count = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    count += std::memcmp(&a[i], &b[i], sizeof(float)) != 0 ? 1 : 0;
  }
  return count;
}
inline size_t DifferentBits(const ModelHost::Logits& a, const ModelHost::Logits& b) {
  EXPECT_EQ(a.size(), b.size());
  size_t count = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) count += DifferentBits(a[i], b[i]);
  return count;
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_DEVICE_SUBJECT_H_
