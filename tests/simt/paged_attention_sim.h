// Paged attention of the simulator: plain loops that read what the GPU's kernel reads, the plan's
// arrays and the pages, item by item, and leave what it leaves: partial results in the workspace,
// and their merge.
#ifndef CHORUS_TESTS_SIMT_PAGED_ATTENTION_SIM_H_
#define CHORUS_TESTS_SIMT_PAGED_ATTENTION_SIM_H_

#include "absl/status/status.h"
#include "kernels/attention/device_attention.h"

namespace chorus::test {

// Runs at once. InvalidArgument as CheckDeviceAttention says; a plan whose items lead outside its
// sequences or their pages ends the process.
absl::Status PagedAttentionSim(const kernels::DeviceAttentionArgs& args);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_PAGED_ATTENTION_SIM_H_
