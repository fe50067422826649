// The CPU backend of PagedAttention.
#ifndef CHORUS_KERNELS_ATTENTION_PAGED_ATTENTION_CPU_H_
#define CHORUS_KERNELS_ATTENTION_PAGED_ATTENTION_CPU_H_

#include "kernels/attention/paged_attention.h"
#include "kernels/device/compute_pool.h"

namespace chorus::kernels {

// REQUIRES: shapes, types and indices checked, at least one row.
void PagedAttentionCpu(const PagedAttentionArgs& args, ComputePool& pool);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ATTENTION_PAGED_ATTENTION_CPU_H_
