// LinearChoices: which algorithm of cuBLASLt was the fastest for a key (GPU, library version,
// shape), kept in a file so that only a first start measures. Losing the file costs time, nothing
// else.
//
//   chorus linear choices 1
//   <key> TAB <microseconds> TAB <workspace bytes> TAB <8 words of 16 hexadecimal digits>
#ifndef CHORUS_KERNELS_LINEAR_LINEAR_CHOICES_H_
#define CHORUS_KERNELS_LINEAR_LINEAR_CHOICES_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace chorus::kernels {

struct LinearChoice {
  std::array<uint64_t, 8> algorithm{};  // opaque
  double us = 0.0;                      // as measured
  int64_t workspace_bytes = 0;
};

class LinearChoices {
 public:
  // Adds the file's choices to these. A missing file is OK and empty; DataLoss naming the line when
  // it is not such a file, and nothing is added; Internal when it cannot be read.
  absl::Status Load(const std::string& path);
  // Replaces the file in one step. Internal when it cannot be written.
  absl::Status Save(const std::string& path) const;

  // Null when it is not known.
  const LinearChoice* Find(const std::string& key) const;
  // REQUIRES: the key has no tab and no line end.
  void Set(const std::string& key, const LinearChoice& choice);
  size_t size() const { return choices_.size(); }

 private:
  std::map<std::string, LinearChoice> choices_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LINEAR_LINEAR_CHOICES_H_
