// Paged attention of the simulator: plain loops that read what the GPU's kernel reads, the plan's
// arrays and the pages, item by item, and leave what it leaves: partial results in the workspace,
// and their merge.
#ifndef CHORUS_TESTS_SIMT_PAGED_ATTENTION_SIM_H_
#define CHORUS_TESTS_SIMT_PAGED_ATTENTION_SIM_H_

#include "absl/status/status.h"
#include "kernels/attention/device_attention.h"
#include "tests/simt/sim_device.h"

namespace chorus::test {

// Runs at once. InvalidArgument as CheckDeviceAttention says; a plan whose items lead outside its
// sequences or their pages ends the process.
absl::Status PagedAttentionSim(const kernels::DeviceAttentionArgs& args);

// Enqueues it on a stream of `device`, which learns what it reads and writes, the pages of the plan
// that is there when it runs among it.
absl::Status EnqueuePagedAttention(const kernels::DeviceAttentionArgs& args,
                                   kernels::SimDevice* device, kernels::DeviceStream* stream);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_PAGED_ATTENTION_SIM_H_
