#include "server/grpc/acceptor.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"
#include "server/log/log.h"

namespace chorus::server {
namespace {

constexpr int kBacklog = 1024;
constexpr std::chrono::milliseconds kPause(100);

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int port() const {
    if (storage.ss_family == AF_INET) {
      return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
    }
    if (storage.ss_family == AF_INET6) {
      return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
    }
    return 0;
  }
};

absl::StatusOr<SocketAddress> ToSocketAddress(const Address& address) {
  SocketAddress socket;
  if (address.kind == Address::Kind::kUnix) {
    auto* const out = reinterpret_cast<sockaddr_un*>(&socket.storage);
    if (address.path.size() >= sizeof(out->sun_path)) {
      return absl::InvalidArgumentError(absl::StrCat("listen: a path of less than ",
                                                     sizeof(out->sun_path), " bytes, got ",
                                                     address.path.size()));
    }
    out->sun_family = AF_UNIX;
    std::memcpy(out->sun_path, address.path.c_str(), address.path.size() + 1);
    socket.size = sizeof(sockaddr_un);
  } else if (address.kind == Address::Kind::kIpv4) {
    auto* const out = reinterpret_cast<sockaddr_in*>(&socket.storage);
    out->sin_family = AF_INET;
    out->sin_port = htons(static_cast<uint16_t>(address.port));
    CHORUS_CHECK_EQ(inet_pton(AF_INET, address.host.c_str(), &out->sin_addr), 1);
    socket.size = sizeof(sockaddr_in);
  } else {
    auto* const out = reinterpret_cast<sockaddr_in6*>(&socket.storage);
    out->sin6_family = AF_INET6;
    out->sin6_port = htons(static_cast<uint16_t>(address.port));
    CHORUS_CHECK_EQ(inet_pton(AF_INET6, address.host.c_str(), &out->sin6_addr), 1);
    socket.size = sizeof(sockaddr_in6);
  }
  return socket;
}

// A socket that a server before us left behind stands in the way; one that answers does not.
void RemoveDeadSocket(const Address& address, SocketAddress* socket_address) {
  Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(probe.get(), socket_address->get(), socket_address->size) != 0 &&
      errno == ECONNREFUSED) {
    unlink(address.path.c_str());
  }
}

Descriptor OpenSpare() { return Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Listen(const Address& address,
                                                           int max_connections,
                                                           ServerMetrics* metrics) {
  std::unique_ptr<Acceptor> acceptor(new Acceptor(address, max_connections, metrics));
  CHORUS_RETURN_IF_ERROR(acceptor->Bind());
  return acceptor;
}

absl::Status Acceptor::Bind() {
  CHORUS_ASSIGN_OR_RETURN(SocketAddress address, ToSocketAddress(address_));
  if (address_.kind == Address::Kind::kUnix) RemoveDeadSocket(address_, &address);
  listening_ =
      Descriptor(socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (address_.kind != Address::Kind::kUnix) {
    setsockopt(listening_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  }
  if (!listening_.valid() || bind(listening_.get(), address.get(), address.size) != 0 ||
      listen(listening_.get(), kBacklog) != 0) {
    const absl::Status why = absl::UnavailableError(
        absl::StrCat("cannot listen on ", address_.ToString(), ": ", std::strerror(errno)));
    listening_.Close();  // Stop would unlink the path, which is another server's
    return why;
  }
  SocketAddress bound;
  CHORUS_CHECK_EQ(getsockname(listening_.get(), bound.get(), &bound.size), 0);
  port_ = bound.port();
  stop_ = Descriptor(eventfd(0, EFD_CLOEXEC));
  spare_ = OpenSpare();
  return absl::OkStatus();
}

void Acceptor::Start(grpc::experimental::ExternalConnectionAcceptor* server) {
  server_ = server;
  thread_ = std::thread([this] { Loop(); });
}

void Acceptor::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    CHORUS_CHECK_EQ(write(stop_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
    thread_.join();
  }
  if (listening_.valid() && address_.kind == Address::Kind::kUnix) unlink(address_.path.c_str());
  listening_.Close();
}

void Acceptor::Loop() {
  pollfd polled[] = {{listening_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
  while (true) {
    if (poll(polled, 2, -1) < 0) continue;
    if (polled[1].revents != 0) return;
    AcceptOne();
  }
}

void Acceptor::AcceptOne() {
  Descriptor connection(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection.valid()) {
    if (errno != EMFILE && errno != ENFILE) return;  // that client's trouble, not ours
    // Turn the client away rather than leave it waiting for a server that cannot answer.
    spare_.Close();
    Descriptor(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC)).Close();
    spare_ = OpenSpare();
    metrics_->ConnectionRefused();
    LogWarning("connection refused", {{"why", "no descriptor is free"}});
    std::this_thread::sleep_for(kPause);
    return;
  }
  if (!HasRoom()) {
    metrics_->ConnectionRefused();
    return;
  }
  const int on = 1;
  if (address_.kind != Address::Kind::kUnix) {
    setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  metrics_->ConnectionAccepted();
  ++connections_;
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = listening_.get();
  parameters.fd = connection.Release();
  server_->HandleNewConnection(&parameters);
}

bool Acceptor::HasRoom() {
  if (connections_ < max_connections_) return true;
  connections_ = CountConnections() - 1;  // without the one that asks
  return connections_ < max_connections_;
}

// gRPC does not say when a connection ends; but it is a socket of ours with the address on which we
// listen until then.
int Acceptor::CountConnections() const {
  SocketAddress ours;
  if (getsockname(listening_.get(), ours.get(), &ours.size) != 0) return 0;
  DIR* const directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  int count = 0;
  while (const dirent* const entry = readdir(directory)) {
    const int fd = std::atoi(entry->d_name);
    SocketAddress local;
    if (fd == listening_.get() || getsockname(fd, local.get(), &local.size) != 0) continue;
    if (local.storage.ss_family != ours.storage.ss_family || local.port() != ours.port()) continue;
    if (address_.kind == Address::Kind::kUnix &&
        std::strcmp(reinterpret_cast<sockaddr_un*>(&local.storage)->sun_path,
                    address_.path.c_str()) != 0) {
      continue;
    }
    ++count;
  }
  closedir(directory);
  return count;
}

}  // namespace chorus::server
