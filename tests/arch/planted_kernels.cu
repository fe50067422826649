// Kernels that tests/cuda_static must refuse, each for a reason of its own, and one that it must
// take. Their names are what its rules go by. No part of the build.
#include <cstdint>

namespace chorus::kernels {

struct PlantedParams {
  const uint4* in;
  uint4* out;
  uint32_t at;
};

__global__ void __launch_bounds__(128, 4) kCopyPagesRightEntry(const PlantedParams params) {
  params.out[threadIdx.x] = params.in[threadIdx.x];
}

__global__ void __launch_bounds__(128, 4) kAddNormNarrowEntry(const PlantedParams params) {
  reinterpret_cast<uint32_t*>(params.out)[threadIdx.x] =
      reinterpret_cast<const uint32_t*>(params.in)[threadIdx.x];
}

__global__ void __launch_bounds__(128, 4) kSiluMulDoubleEntry(const PlantedParams params) {
  const uint4 in = params.in[threadIdx.x];
  const double sum = static_cast<double>(static_cast<float>(in.x)) * 1.25;
  params.out[threadIdx.x] = {static_cast<uint32_t>(sum), in.y, in.z, in.w};
}

__global__ void __launch_bounds__(128, 4) kCopyPagesLocalEntry(const PlantedParams params) {
  uint4 local[64] = {};
  for (uint32_t i = 0; i < 64; ++i) local[(params.at * i) % 64] = params.in[threadIdx.x + i];
  params.out[threadIdx.x] = local[threadIdx.x % 64];
}

__global__ void kCopyPagesUnboundedEntry(const PlantedParams params) {
  params.out[threadIdx.x] = params.in[threadIdx.x];
}

__global__ void __launch_bounds__(128, 4) kEmbeddingSharedEntry(const PlantedParams params) {
  extern __shared__ uint4 staged[];
  staged[threadIdx.x] = params.in[threadIdx.x];
  __syncthreads();
  params.out[threadIdx.x] = staged[127 - threadIdx.x];
}

// No MMA, no bulk copy; and below 9.0 it does not stop.
__global__ void __launch_bounds__(128, 4) kLoraShrinkBf16Entry(const PlantedParams params) {
  params.out[threadIdx.x] = params.in[threadIdx.x];
}

// Blocks that never meet, nor read each other.
__global__ void __launch_bounds__(128, 4) kLoraCluster8Bf16Entry(const PlantedParams params) {
  params.out[threadIdx.x] = params.in[threadIdx.x];
}

// The f16 MMA where bf16 was meant.
__global__ void __launch_bounds__(128, 4) kLoraShrinkLanesBf16Entry(const PlantedParams params) {
  const uint4 a = params.in[threadIdx.x];
  const uint4 b = params.in[threadIdx.x + 128];
  float d[4] = {};
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b.x), "r"(b.y));
  params.out[threadIdx.x] = {__float_as_uint(d[0]), __float_as_uint(d[1]), __float_as_uint(d[2]),
                             __float_as_uint(d[3])};
}

}  // namespace chorus::kernels
