// The adapters of a LoRA case: random weights in a pool of their own, on shuffled pages, with the
// tables that kernels read, and the matrices in double.
#ifndef CHORUS_TESTS_SIMT_LORA_ADAPTERS_H_
#define CHORUS_TESTS_SIMT_LORA_ADAPTERS_H_

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "kernels/lora/device_lora.h"
#include "kernels/lora/lora_items.h"
#include "tests/simt/lora_cases.h"
#include "tests/support/ops/op_case.h"

namespace chorus::test {

// A random value in ±scale, as `dtype` keeps it.
uint16_t RandomBits(kernels::DType dtype, float scale, std::mt19937& random);
double FromBits(kernels::DType dtype, uint16_t bits);

// One module of one adapter at the layer under test; empty without a rank.
struct LoraMatrices {
  std::vector<double> a;     // [rank, inputs]
  std::vector<double> b;     // [width, rank]
  std::vector<double> bias;  // [width], empty without
};

class LoraAdapters {
 public:
  // One adapter for each of `segments`, which name the slots. All must outlive this.
  LoraAdapters(const LoraCase& c, const kernels::LoraSiteShape& site,
               const std::vector<kernels::LoraSegment>& segments, std::mt19937& random);

  const kernels::PoolCells& cells() const { return cells_; }
  // Its tables end in poison, and so does every list of ids.
  kernels::LoraDeviceTable table() const {
    return {entries_.data(), ids_.data(), num_ids_.data(), static_cast<int32_t>(num_ids_.size()),
            c_.layers,       ids_stride_};
  }
  const LoraMatrices& matrices(size_t segment, int module) const {
    return matrices_[segment][static_cast<size_t>(module)];
  }

 private:
  // Tiles of `segment`'s adapter in all layers, the layer's own at any place in a cell.
  void MakeAdapter(const LoraCaseSegment& segment, int32_t slot, std::vector<int32_t>* free,
                   std::vector<int32_t>* ids);
  // In all layers.
  int32_t TilesOf(const LoraCaseSegment& segment) const;
  // `contents` gets the elements of the module's tiles with their values.
  LoraMatrices MakeMatrices(const kernels::LoraModuleEntry& entry, int width,
                            std::vector<std::pair<int32_t, uint16_t>>* contents);

  const LoraCase& c_;
  const kernels::LoraSiteShape& site_;
  std::mt19937& random_;
  kernels::PoolCells cells_;
  AddressSpace memory_;
  std::vector<kernels::LoraModuleEntry> entries_;
  std::vector<int32_t> ids_, num_ids_;
  std::vector<std::vector<LoraMatrices>> matrices_;  // [segment][module]
  int32_t ids_stride_ = 0;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_LORA_ADAPTERS_H_
