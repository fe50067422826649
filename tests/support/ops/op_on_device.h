// The cases of ops on a Device (op_on_device.cc is that side of op_device.h): each launch sees
// copies of its buffers, and what lies between them must be as it was. The program says on which.
#ifndef CHORUS_TESTS_SUPPORT_OPS_OP_ON_DEVICE_H_
#define CHORUS_TESTS_SUPPORT_OPS_OP_ON_DEVICE_H_

#include <cstdint>
#include <memory>

#include "tests/support/ops/op_device.h"

namespace chorus::test {

struct OpDevice {
  std::unique_ptr<kernels::Device> device;
  // Buffers of so many bytes are address space, mostly untouched: of them only touched pages are
  // copied.
  int64_t large_bytes = 64 << 20;
};
// NotFound: there is none, tests skip. Called once.
absl::StatusOr<OpDevice> OpenOpDevice();

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_OPS_OP_ON_DEVICE_H_
