// The golden tests of the tiny models on any device (golden_contract_test.cc). A program that links
// them says which, and on which devices.
#ifndef CHORUS_TESTS_SUPPORT_GOLDEN_CONTRACT_H_
#define CHORUS_TESTS_SUPPORT_GOLDEN_CONTRACT_H_

#include <ostream>
#include <string>
#include <vector>

#include "kernels/device/dtype.h"
#include "tests/support/device_backend.h"
#include "tests/support/golden.h"

namespace chorus::test {

struct GoldenDevice {
  std::string name;   // of letters, digits and underscores
  std::string model;  // of the golden
  kernels::DType dtype = kernels::DType::kBf16;
  MakeDevice open;  // NotFound: there is none, the test is skipped
  engine::DeviceLoraSharing lora;
  GoldenHeads heads = GoldenHeads::kRecorded;
};
inline void PrintTo(const GoldenDevice& device, std::ostream* out) { *out << device.name; }

std::vector<GoldenDevice> GoldenDevices();

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_GOLDEN_CONTRACT_H_
