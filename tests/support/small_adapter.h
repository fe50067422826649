// A model of two small layers and adapters for it, as the two files that a client uploads.
#ifndef CHORUS_TESTS_SUPPORT_SMALL_ADAPTER_H_
#define CHORUS_TESTS_SUPPORT_SMALL_ADAPTER_H_

#include <cstdint>
#include <string>

#include "engine/model/model_config.h"
#include "kernels/device/pool_view.h"

namespace chorus::test {

struct SmallAdapter {
  std::string config;   // adapter_config.json
  std::string tensors;  // adapter_model.safetensors

  // LoRA on q_proj of both layers with counter-hash values: another seed, another digest.
  static SmallAdapter Make(uint64_t seed, int rank = 1);
};

engine::ModelConfig SmallModel();
// A pool's shape for SmallModel, f32.
kernels::PoolView SmallGeometry();

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_SMALL_ADAPTER_H_
