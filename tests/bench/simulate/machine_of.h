// A machine for tests, on which every step takes as long as the next.
#ifndef CHORUS_TESTS_BENCH_SIMULATE_MACHINE_OF_H_
#define CHORUS_TESTS_BENCH_SIMULATE_MACHINE_OF_H_

#include "bench/simulate/machines.h"
#include "gtest/gtest.h"

namespace chorus::bench {

// A tiny model with pages of 16 KiB (two layers, one head of 128, bf16); bytes and products cost
// nothing.
inline Machine MachineOf(double step_s, int64_t pages = 1000) {
  Machine machine;
  machine.name = "test";
  machine.model.layers = 2;
  machine.model.hidden = 128;
  machine.model.intermediate = 192;
  machine.model.heads = 1;
  machine.model.kv_heads = 1;
  machine.model.head_dim = 128;
  machine.model.vocabulary = 320;
  machine.model.max_positions = 4096;
  machine.step = {.bytes_per_s = 1e30, .flops_per_s = 1e30, .step_s = step_s};
  machine.load = {.read_bytes_per_s = 1e30};
  machine.pool_pages = pages;
  return machine;
}

inline Machine MachineNamed(const char* name) {
  const auto machine = FindMachine(name);
  EXPECT_TRUE(machine.ok()) << machine.status();
  return *machine;
}

}  // namespace chorus::bench

#endif  // CHORUS_TESTS_BENCH_SIMULATE_MACHINE_OF_H_
