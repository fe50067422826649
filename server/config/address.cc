#include "server/config/address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/refusal.h"

namespace chorus::server {
namespace {

constexpr char kExpected[] =
    "HOST:PORT with a numeric host, such as 127.0.0.1:50051 or [::1]:0, or unix:PATH";

bool ParsePort(std::string_view text, int* port) {
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, *port);
  return error == std::errc() && rest == end && *port >= 0 && *port <= 65535;
}

bool ParseHost(std::string host, Address* address) {
  if (host == "localhost") host = "127.0.0.1";
  in_addr four{};
  in6_addr six{};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) {
    address->kind = Address::Kind::kIpv4;
  } else if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    address->kind = Address::Kind::kIpv6;
    host = host.substr(1, host.size() - 2);
    if (inet_pton(AF_INET6, host.c_str(), &six) != 1) return false;
  } else {
    return false;
  }
  address->host = std::move(host);
  return true;
}

}  // namespace

std::string Address::ToString() const {
  switch (kind) {
    case Kind::kIpv4:
      return absl::StrCat(host, ":", port);
    case Kind::kIpv6:
      return absl::StrCat("[", host, "]:", port);
    case Kind::kUnix:
      return absl::StrCat("unix:", path);
  }
  return "";
}

bool Address::IsLoopback() const {
  if (kind == Kind::kUnix) return true;
  if (kind == Kind::kIpv4) return absl::StartsWith(host, "127.");
  in6_addr six{};
  return inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

absl::StatusOr<Address> ParseAddress(std::string_view flag, std::string_view text) {
  const auto refuse = [&](std::string expected) {
    return engine::Refuse(engine::Reason::kValueOutOfRange, std::string(flag), std::move(expected),
                          engine::Quoted(text));
  };
  Address address;
  if (text.substr(0, 5) == "unix:") {
    address.kind = Address::Kind::kUnix;
    address.path = std::string(text.substr(5));
    constexpr size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;
    if (address.path.empty() || address.path.size() > kMaxPath) {
      return refuse(absl::StrCat("unix: and a path of 1 to ", kMaxPath, " bytes"));
    }
    return address;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !ParsePort(text.substr(colon + 1), &address.port) ||
      !ParseHost(std::string(text.substr(0, colon)), &address)) {
    return refuse(kExpected);
  }
  return address;
}

}  // namespace chorus::server
