// What tests of a SteppedServer share: a tiny model with heads of a size that the device has, its
// adapters, and requests.
#ifndef CHORUS_TESTS_SUPPORT_SERVER_FIXTURE_H_
#define CHORUS_TESTS_SUPPORT_SERVER_FIXTURE_H_

#include <random>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/support/linears_adapter.h"
#include "tests/support/stepped_server.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chorus::test {

class ServerTest : public testing::Test {
 protected:
  ServerTest(int layers, int head_dim) {
    TinyModel::Make("LlamaForCausalLM", {{"hidden_size", 64},
                                         {"num_attention_heads", 4},
                                         {"num_key_value_heads", 2},
                                         {"head_dim", head_dim},
                                         {"num_hidden_layers", layers},
                                         {"max_position_embeddings", 512}})
        .Write(dir_.path());
    config_ = *engine::ModelConfig::Load(dir_.path());
    geometry_ = {.num_ids = 1,
                 .num_slabs = config_.layers,
                 .kv_heads = config_.kv_heads,
                 .head_dim = config_.head_dim,
                 .dtype = kernels::DType::kBf16,
                 .b_tiles = kernels::BTileOrder::kFragments};
  }

  std::string dir() const { return dir_.path(); }
  const kernels::PoolView& geometry() const { return geometry_; }

  engine::AdapterRef Adapter(uint64_t seed, int rank) const {
    return *LinearsAdapter(config_, geometry_, rank, seed);
  }
  static engine::GenerateRequest Request(const std::string& id, uint32_t seed, int prompt,
                                         int max_tokens, engine::AdapterRef adapter) {
    engine::GenerateRequest request;
    request.request_id = id;
    request.tenant = "tenant";
    request.adapter = std::move(adapter);
    std::mt19937 random(seed);
    for (int i = 0; i < prompt; ++i) {
      request.prompt.push_back(3 + static_cast<int32_t>(random() % 90));
    }
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    request.sampling.temperature = 0.0f;
    request.sampling.num_logprobs = 2;
    return request;
  }

 private:
  const TempDir dir_;
  engine::ModelConfig config_;
  kernels::PoolView geometry_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_SERVER_FIXTURE_H_
