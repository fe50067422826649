// The tests of a Device that hold for any of them (device_contract_test.cc). A program that links
// them says on which devices they run.
#ifndef CHORUS_TESTS_SUPPORT_DEVICE_CONTRACT_H_
#define CHORUS_TESTS_SUPPORT_DEVICE_CONTRACT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/device/device.h"

namespace chorus::kernels {

struct DeviceUnderTest {
  std::string name;  // of letters and digits
  // NotFound: there is none, the test is skipped.
  std::function<absl::StatusOr<std::unique_ptr<Device>>()> open;
  // Of kTestScramble, so that a launch is far slower than the host's next call.
  int32_t slow_rounds = 1;
};
inline void PrintTo(const DeviceUnderTest& device, std::ostream* out) { *out << device.name; }

std::vector<DeviceUnderTest> DevicesUnderTest();

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SUPPORT_DEVICE_CONTRACT_H_
