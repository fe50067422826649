// The stress test of adapters that change places (adapter_stress_test.cc), on any device. A program
// that links it says on which.
#ifndef CHORUS_TESTS_SUPPORT_ADAPTER_STRESS_H_
#define CHORUS_TESTS_SUPPORT_ADAPTER_STRESS_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/support/stepped_server.h"

namespace chorus::test {

struct StressDevice {
  std::string name;  // of letters, digits and underscores
  // NotFound: there is none, the test is skipped.
  std::function<absl::StatusOr<ServerDevice>(uint32_t seed)> open;
  MakeServerDevice open_alone;  // for each request alone; its like, but may be simpler
  int head_dim = 16;
  int requests = 24;
  // How far ahead a token may be, in log-probability, and still be another one in a mix: chunks and
  // products of other shapes round otherwise.
  float margin = 0.05f;
  bool whole_memory = false;  // a pool as large as the device, whose last pages are used
  bool last_pages = false;    // of the small pool
};
inline void PrintTo(const StressDevice& device, std::ostream* out) { *out << device.name; }

std::vector<StressDevice> StressDevices();

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_ADAPTER_STRESS_H_
