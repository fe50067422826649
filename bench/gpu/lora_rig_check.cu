// The rig's check: outputs of a batch against sums in double over the hash that filled the pool.
#include <algorithm>
#include <cmath>
#include <random>

#include "bench/gpu/lora_rig.h"

namespace chorus::bench {

using namespace kernels;

namespace {

float Value(uint16_t bits) { return Bf16{bits}.ToFloat(); }

}  // namespace

float LoraRig::PoolElement(int slot, int tile, int element) const {
  const int tiles = pool_.tiles_per_cell;
  const int cell = tile / tiles;
  const int n = num_ids_[slot];
  const int64_t at = (cell / n) * pool_.num_ids + ids_[slot * ids_stride_ + cell % n];
  return Value(HashBf16((at * tiles + tile % tiles) * kTileElements + element));
}

// The largest error over its bound of 40 outputs of a row, the last four among them.
double LoraRig::CheckModule(int layer, int site, int site_module, int slot, int row,
                            const float* delta) {
  const int m = kSites[site].modules[site_module];
  const int inputs = ModuleInputs(m), outputs = ModuleOutputs(m);
  const LoraModuleEntry& e =
      entries_[(static_cast<size_t>(slot) * kLayers + layer) * kNumLoraModules + m];
  if (e.rank == 0) return 0.0;
  const int blocks = RankBlocks(e.rank);
  std::vector<double> xa(blocks * 8), absolute(blocks * 8);
  for (int k = 0; k < inputs; ++k) {
    const double x = Value(HashBf16(InputSalt(site) + int64_t{row} * inputs + k));
    for (int r = 0; r < blocks * 8; ++r) {
      const double a = PoolElement(slot, e.a_tile + k / 32 * blocks + r / 8, r % 8 * 32 + k % 32);
      xa[r] += x * a;
      absolute[r] += std::fabs(x * a);
    }
  }
  double worst = 0.0;
  std::mt19937 random((row * 4 + site) * 4 + site_module);
  for (int sample = 0; sample < 40; ++sample) {
    const int o = sample < 4 ? outputs - 1 - sample : static_cast<int>(random() % outputs);
    double want = 0.0, bound = 1e-30;
    for (int r = 0; r < blocks * 8; ++r) {
      const double b =
          PoolElement(slot, e.b_tile + o / 32 * blocks + r / 8, DeviceBTileIndex(o % 32, r % 8));
      want += xa[r] * b;
      bound += std::fabs(b) * (absolute[r] * (inputs / 16 + 8) * 0x1p-23 +
                               std::fabs(xa[r]) * (0x1p-16 + (blocks + 8) * 0x1p-23));
    }
    const double got = delta[kSites[site].y_column[site_module] + o];
    const double error = std::fabs(got - e.scale * want) / (e.scale * bound);
    if (!(error <= worst)) worst = std::isnan(error) ? 1e30 : error;
  }
  return worst;
}

double LoraRig::Check(int layer) {
  double worst = 0.0;
  Plan();
  for (int s = 0; s < kNumLoraSites; ++s) {
    const int width = SiteWidth(s);
    CheckCuda(cudaMemsetAsync(delta_[s], 0xff, int64_t{rows_} * width * 4, stream_));
    CheckCuda(cudaMemsetAsync(planes_.data, 0xff, planes_.count() * 4, stream_));
    Run(layer, s);
    std::vector<float> delta(static_cast<size_t>(rows_) * width);
    CheckCuda(cudaStreamSynchronize(stream_));
    CheckCuda(cudaMemcpy(delta.data(), delta_[s], delta.size() * 4, cudaMemcpyDeviceToHost));
    for (const LoraSegment& segment : segments_) {
      for (int row = segment.first_row; row < segment.first_row + segment.num_rows; ++row) {
        if (row % 3 != 0 && segment.num_rows >= 4) continue;
        for (int i = 0; i < kSites[s].num_modules; ++i) {
          const float* outputs = &delta[static_cast<size_t>(row) * width];
          worst = std::max(worst, CheckModule(layer, s, i, segment.slot, row, outputs));
        }
      }
    }
  }
  return worst;
}

}  // namespace chorus::bench
