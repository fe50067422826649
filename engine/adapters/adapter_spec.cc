#include "engine/adapters/adapter_spec.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "engine/refusal.h"

namespace chorus::engine {

std::string AdapterDigest::Hex() const {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

absl::StatusOr<AdapterDigest> AdapterDigest::Parse(std::string_view text) {
  const std::string shown = Quoted(text);
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  const bool hex = text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
                     return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                   });
  if (!hex) {
    return Refuse(Reason::kDigestMismatch, "digest", "sha256: and 64 lower-case hexadecimal digits",
                  shown);
  }
  const std::string raw = absl::HexStringToBytes(std::string(text));
  AdapterDigest digest;
  std::copy(raw.begin(), raw.end(), digest.bytes.begin());
  return digest;
}

int32_t AdapterSpec::max_rank() const {
  int32_t rank = 0;
  for (const AdapterModule& module : modules) rank = std::max(rank, module.rank);
  return rank;
}

}  // namespace chorus::engine
