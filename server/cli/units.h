// Quantities as people read them.
#ifndef CHORUS_SERVER_CLI_UNITS_H_
#define CHORUS_SERVER_CLI_UNITS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace chorus::cli {

// "812 B", "1.2 MB", "3.40 GB": thousands of 1000.
std::string BytesText(uint64_t bytes);
// "850 µs", "12.3 ms", "4.2 s", "3 min 5 s", "2 h 10 min", "5 d 3 h"
std::string DurationText(absl::Duration duration);
// "1,234,567"
std::string CountText(int64_t count);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_UNITS_H_
