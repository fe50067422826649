// The CPU backend of RopeTable and RopeAppendKv.
#ifndef CHORUS_KERNELS_ROPE_ROPE_APPEND_KV_CPU_H_
#define CHORUS_KERNELS_ROPE_ROPE_APPEND_KV_CPU_H_

#include "kernels/device/compute_pool.h"
#include "kernels/rope/rope_append_kv.h"

namespace chorus::kernels {

// REQUIRES: shapes and types checked.
void RopeTableCpu(const RopeTableArgs& args, ComputePool& pool);
void RopeAppendKvCpu(const RopeAppendKvArgs& args, ComputePool& pool);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ROPE_ROPE_APPEND_KV_CPU_H_
