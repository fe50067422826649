// Where the engine gets its time: the machine's clock, or a test's.
#ifndef CHORUS_ENGINE_CLOCK_H_
#define CHORUS_ENGINE_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace chorus::engine {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;

  // The machine's clock as it stood at the first call, and then only forward: when somebody sets
  // it, no deadline comes early and no measurement is wrong. Lives for ever.
  static const Clock* Real();
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_CLOCK_H_
