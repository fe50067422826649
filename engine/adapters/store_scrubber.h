// StoreScrubber: reads the store's objects again and again, slowly, and compares their SHA-256 with
// their names, so that a disk that forgets is noticed before somebody needs the bytes.
#ifndef CHORUS_ENGINE_ADAPTERS_STORE_SCRUBBER_H_
#define CHORUS_ENGINE_ADAPTERS_STORE_SCRUBBER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/adapters/directory_store.h"
#include "engine/adapters/sha256.h"
#include "engine/clock.h"
#include "engine/model/byte_source.h"

namespace chorus::engine {

// One thread at a time.
class StoreScrubber {
 public:
  // Reads the whole store once a week, and no faster than `bytes_per_second` (0: never).
  StoreScrubber(const DirectoryStore* store, double bytes_per_second, const Clock* clock);

  struct Step {
    absl::Duration wait;                 // until the next step
    std::optional<std::string> damaged;  // SHA-256 of an object that differs or cannot be read
  };
  // Reads one slice, when its time has come.
  Step Run();

  uint64_t num_passes() const { return num_passes_; }

 private:
  // Ends the object in hand; its name when it is damaged.
  std::optional<std::string> EndObject(bool whole);

  const DirectoryStore* const store_;
  const double bytes_per_second_;
  const Clock* const clock_;
  absl::Time next_step_;
  absl::Time pass_began_;
  std::string at_;  // the object in hand, or the last one
  std::unique_ptr<ByteSource> bytes_;
  uint64_t offset_ = 0;
  std::optional<Sha256> hash_;
  std::vector<std::byte> slice_;
  uint64_t num_passes_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_STORE_SCRUBBER_H_
