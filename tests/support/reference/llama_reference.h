// Oracle of the forward pass: a decoder of the Llama family in plain loops and double precision,
// over whole sequences, without pages, batches or caches. Weights are the checkpoint's own.
#ifndef CHORUS_TESTS_SUPPORT_REFERENCE_LLAMA_REFERENCE_H_
#define CHORUS_TESTS_SUPPORT_REFERENCE_LLAMA_REFERENCE_H_

#include <cmath>
#include <string>
#include <vector>

#include "engine/model/rope.h"
#include "tests/support/pool_adapter.h"
#include "tests/support/reference/attention.h"
#include "tests/support/tiny_model.h"

namespace chorus::test {

class LlamaReference {
 public:
  using Rows = std::vector<std::vector<double>>;

  LlamaReference(const engine::ModelConfig& config, const TinyModel& model)
      : config_(config), model_(model), rope_(engine::ComputeRope(config.rope, config.head_dim)) {}

  // Logits of every position. The adapter, if any, works from position `adapter_from` on.
  Rows Logits(const std::vector<int32_t>& tokens, const PoolAdapter* adapter = nullptr,
              size_t adapter_from = 0) const {
    const std::vector<float>& table = Values("model.embed_tokens.weight");
    const auto hidden = static_cast<size_t>(config_.hidden);
    Rows residual;
    for (const int32_t token : tokens) {
      const auto from = table.begin() + static_cast<std::ptrdiff_t>(token) * config_.hidden;
      residual.emplace_back(from, from + static_cast<std::ptrdiff_t>(hidden));
    }
    for (int layer = 0; layer < config_.layers; ++layer) {
      const Lora lora{adapter, layer, adapter_from};
      const std::string at = "model.layers." + std::to_string(layer) + ".";
      const Rows x = Norm(residual, at + "input_layernorm");
      Add(Linear(Attention(x, at, lora), at, kernels::kO, lora), &residual);
      const Rows y = Norm(residual, at + "post_attention_layernorm");
      const Rows gate = Linear(y, at, kernels::kGate, lora);
      Rows up = Linear(y, at, kernels::kUp, lora);
      for (size_t t = 0; t < up.size(); ++t) {
        for (size_t i = 0; i < up[t].size(); ++i) {
          up[t][i] *= gate[t][i] / (1.0 + std::exp(-gate[t][i]));
        }
      }
      Add(Linear(up, at, kernels::kDown, lora), &residual);
    }
    return Multiply(Norm(residual, "model.norm"),
                    config_.tied_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  }

 private:
  struct Lora {
    const PoolAdapter* adapter;
    int layer;
    size_t from;
  };

  const std::vector<float>& Values(const std::string& name) const {
    return model_.tensors.at(name).values;
  }

  static void Add(const Rows& delta, Rows* rows) {
    for (size_t t = 0; t < rows->size(); ++t) {
      for (size_t i = 0; i < delta[t].size(); ++i) (*rows)[t][i] += delta[t][i];
    }
  }

  std::vector<double> NormRow(const double* x, size_t width, const std::vector<float>& w) const {
    double squares = 0.0;
    for (size_t i = 0; i < width; ++i) squares += x[i] * x[i];
    const double scale =
        1.0 / std::sqrt(squares / static_cast<double>(width) + double{config_.rms_norm_eps});
    std::vector<double> y(width);
    for (size_t i = 0; i < width; ++i) y[i] = x[i] * scale * w[i];
    return y;
  }

  Rows Norm(const Rows& x, const std::string& name) const {
    Rows y;
    for (const auto& row : x)
      y.push_back(NormRow(row.data(), row.size(), Values(name + ".weight")));
    return y;
  }

  Rows Multiply(const Rows& x, const std::string& name) const {
    const TinyTensor& w = model_.tensors.at(name);
    Rows y(x.size(), std::vector<double>(w.shape[0], 0.0));
    for (size_t t = 0; t < x.size(); ++t) {
      for (size_t o = 0; o < w.shape[0]; ++o) {
        for (size_t i = 0; i < w.shape[1]; ++i) {
          y[t][o] += x[t][i] * double{w.values[o * w.shape[1] + i]};
        }
      }
    }
    return y;
  }

  Rows Linear(const Rows& x, const std::string& at, int module, const Lora& lora) const {
    const std::string name = at + engine::kLinearNames[module];
    Rows y = Multiply(x, name + ".weight");
    if (const auto bias = model_.tensors.find(name + ".bias"); bias != model_.tensors.end()) {
      for (auto& row : y) {
        for (size_t o = 0; o < row.size(); ++o) row[o] += double{bias->second.values[o]};
      }
    }
    const AdapterModule* const m =
        lora.adapter == nullptr ? nullptr : lora.adapter->Find(lora.layer, module);
    for (size_t t = lora.from; m != nullptr && t < x.size(); ++t) AddDelta(*m, x[t], &y[t]);
    return y;
  }

  // y += scale · (B (A x) + bias)
  static void AddDelta(const AdapterModule& m, const std::vector<double>& x,
                       std::vector<double>* y) {
    const auto rank = static_cast<size_t>(m.rank);
    std::vector<double> xa(rank, 0.0);
    for (size_t r = 0; r < rank; ++r) {
      for (size_t i = 0; i < x.size(); ++i) xa[r] += x[i] * double{m.a[r * x.size() + i]};
    }
    for (size_t o = 0; o < y->size(); ++o) {
      double delta = m.bias.empty() ? 0.0 : double{m.bias[o]};
      for (size_t r = 0; r < rank; ++r) delta += xa[r] * double{m.b[o * rank + r]};
      (*y)[o] += double{m.scale} * delta;
    }
  }

  // Norms (Qwen3) and rotates one head at a position.
  std::vector<double> Head(const std::vector<double>& row, int head, size_t position,
                           const std::string& norm) const {
    const auto dim = static_cast<size_t>(config_.head_dim);
    const double* from = row.data() + static_cast<size_t>(head) * dim;
    const std::vector<double> x = config_.qk_norm ? NormRow(from, dim, Values(norm + ".weight"))
                                                  : std::vector<double>(from, from + dim);
    std::vector<double> y(dim);
    for (size_t i = 0; i < dim / 2; ++i) {
      const double angle = double{static_cast<float>(position) * rope_.inv_freq[i]};
      const double cos = std::cos(angle) * double{rope_.attention_scaling};
      const double sin = std::sin(angle) * double{rope_.attention_scaling};
      y[i] = x[i] * cos - x[i + dim / 2] * sin;
      y[i + dim / 2] = x[i + dim / 2] * cos + x[i] * sin;
    }
    return y;
  }

  Rows Attention(const Rows& x, const std::string& at, const Lora& lora) const {
    const Rows q = Linear(x, at, kernels::kQ, lora);
    const Rows k = Linear(x, at, kernels::kK, lora);
    const Rows v = Linear(x, at, kernels::kV, lora);
    const auto dim = static_cast<size_t>(config_.head_dim);
    const double scale = 1.0 / std::sqrt(static_cast<double>(dim));
    Rows out(x.size());
    for (int head = 0; head < config_.heads; ++head) {
      const int kv_head = head / (config_.heads / config_.kv_heads);
      Rows keys;
      for (size_t t = 0; t < x.size(); ++t) {
        keys.push_back(Head(k[t], kv_head, t, at + "self_attn.k_norm"));
        const auto y = ReferenceAttention(
            Head(q[t], head, t, at + "self_attn.q_norm"), static_cast<int64_t>(t + 1), scale,
            [&](int64_t s, int64_t d) {
              return keys[static_cast<size_t>(s)][static_cast<size_t>(d)];
            },
            [&](int64_t s, int64_t d) {
              return v[static_cast<size_t>(s)]
                      [static_cast<size_t>(kv_head) * dim + static_cast<size_t>(d)];
            });
        out[t].insert(out[t].end(), y.begin(), y.end());
      }
    }
    return out;
  }

  const engine::ModelConfig& config_;
  const TinyModel& model_;
  const engine::RopeFrequencies rope_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_REFERENCE_LLAMA_REFERENCE_H_
