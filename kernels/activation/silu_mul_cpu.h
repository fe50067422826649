// The CPU backend of SiluMul.
#ifndef CHORUS_KERNELS_ACTIVATION_SILU_MUL_CPU_H_
#define CHORUS_KERNELS_ACTIVATION_SILU_MUL_CPU_H_

#include "kernels/activation/silu_mul.h"
#include "kernels/device/compute_pool.h"

namespace chorus::kernels {

// REQUIRES: shapes and types checked, at least one row and column.
void SiluMulCpu(const SiluMulArgs& args, ComputePool& pool);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ACTIVATION_SILU_MUL_CPU_H_
