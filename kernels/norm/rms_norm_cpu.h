// The CPU backend of RmsNorm.
#ifndef CHORUS_KERNELS_NORM_RMS_NORM_CPU_H_
#define CHORUS_KERNELS_NORM_RMS_NORM_CPU_H_

#include "kernels/device/compute_pool.h"
#include "kernels/norm/rms_norm.h"

namespace chorus::kernels {

// REQUIRES: shapes and types checked, at least one row and column.
void RmsNormCpu(const RmsNormArgs& args, ComputePool& pool);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_NORM_RMS_NORM_CPU_H_
