// WideHeads: a model with heads four times as wide that computes what the narrow one does, for
// kernels that have no narrow heads. What is added is zero. Attention divides by twice as much, so
// q is twice as large, which is exact; the angle of an element follows from its place in the head,
// so RoPE's base is taken to the fourth power. Where heads are normed, k is twice as large too, so
// that mean squares stay what they are, and k's norm halves what comes out.
#ifndef CHORUS_TESTS_SUPPORT_WIDE_HEADS_H_
#define CHORUS_TESTS_SUPPORT_WIDE_HEADS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "engine/json/strict_json.h"

namespace chorus::test {

class WideHeads {
 public:
  // Of a model with this config.json.
  explicit WideHeads(const engine::Json& config);

  // The wide model's config.json. REQUIRES: `config` is the narrow model's.
  engine::Json Config(engine::Json config) const;
  // A tensor of the model or of an adapter of it, by its name; row-major values of up to two
  // dimensions.
  void Widen(const std::string& name, std::vector<uint64_t>* shape,
             std::vector<float>* values) const;

 private:
  // The place in a wide row of heads of what is at `column` in a narrow one: RoPE turns the first
  // half of a head with the second.
  uint64_t Place(uint64_t column) const;
  float ScaleOf(const std::string& name) const;

  uint64_t head_dim_;  // of the narrow model
  bool has_norms_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_WIDE_HEADS_H_
