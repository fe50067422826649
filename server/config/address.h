// An address to listen on, as operators write it: "127.0.0.1:50051", "[::1]:0", "localhost:9464" or
// "unix:/run/chorus.sock".
#ifndef CHORUS_SERVER_CONFIG_ADDRESS_H_
#define CHORUS_SERVER_CONFIG_ADDRESS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace chorus::server {

struct Address {
  enum class Kind { kIpv4, kIpv6, kUnix };
  Kind kind = Kind::kIpv4;
  std::string host;  // numeric; "localhost" became 127.0.0.1
  int port = 0;      // 0: the system chooses
  std::string path;  // kUnix

  // "127.0.0.1:50051", "[::1]:50051", "unix:/path"
  std::string ToString() const;
  // Only processes of this machine can connect.
  bool IsLoopback() const;
};

// InvalidArgument that begins with `flag`, the name under which operators know the address.
absl::StatusOr<Address> ParseAddress(std::string_view flag, std::string_view text);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_CONFIG_ADDRESS_H_
