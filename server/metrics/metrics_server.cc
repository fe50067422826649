#include "server/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/status_macros.h"
#include "prometheus/exposer.h"

namespace chorus::server {
namespace {

// A scraper that sends or takes nothing for so long gives its thread back.
constexpr char kTimeoutMs[] = "5000";

sockaddr_in PlaceOf(const Address& address) {
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<uint16_t>(address.port));
  inet_pton(AF_INET, address.host.c_str(), &place.sin_addr);
  return place;
}

// The HTTP server does not say why it could not listen; the same system calls do.
std::string WhyNot(const Address& address) {
  const sockaddr_in place = PlaceOf(address);
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return std::strerror(errno);
  const int on = 1;
  setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool bound = bind(probe, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0 &&
                     listen(probe, 1) == 0;
  const std::string reason = bound ? "the HTTP server did not start" : std::strerror(errno);
  close(probe);
  return reason;
}

// A connection that says nothing and goes.
void Knock(const Address& address) {
  const sockaddr_in place = PlaceOf(address);
  const int caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (caller < 0) return;
  connect(caller, reinterpret_cast<const sockaddr*>(&place), sizeof place);
  close(caller);
}

// Throws what the library throws.
std::unique_ptr<prometheus::Exposer> Expose(const Address& address,
                                            const std::weak_ptr<prometheus::Collectable>& metrics) {
  auto exposer = std::make_unique<prometheus::Exposer>(std::vector<std::string>{
      "listening_ports", address.ToString(), "num_threads", "2", "request_timeout_ms", kTimeoutMs});
  exposer->RegisterCollectable(metrics);
  return exposer;
}

}  // namespace

MetricsServer::MetricsServer(Address address, std::shared_ptr<prometheus::Collectable> metrics,
                             std::unique_ptr<prometheus::Exposer> exposer)
    : address_(std::move(address)), metrics_(std::move(metrics)), exposer_(std::move(exposer)) {}

// The HTTP server looks whether it shall stop every two seconds, and when somebody connects: so
// somebody does.
MetricsServer::~MetricsServer() {
  std::atomic<bool> stopped = false;
  std::thread caller([&] {
    while (!stopped.load()) {
      Knock(address_);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  exposer_.reset();
  stopped.store(true);
  caller.join();
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const std::string& address, std::shared_ptr<prometheus::Collectable> metrics) {
  CHORUS_ASSIGN_OR_RETURN(Address place, ParseAddress("metrics", address));
  if (place.kind != Address::Kind::kIpv4) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics: expected an IPv4 address, got ", place.ToString()));
  }
  try {  // the library throws; our code does not
    std::unique_ptr<prometheus::Exposer> exposer = Expose(place, metrics);
    place.port = exposer->GetListeningPorts().at(0);
    return std::unique_ptr<MetricsServer>(
        new MetricsServer(std::move(place), std::move(metrics), std::move(exposer)));
  } catch (const std::exception&) {
    return absl::UnavailableError(
        absl::StrCat("metrics: cannot listen on ", place.ToString(), ": ", WhyNot(place)));
  }
}

}  // namespace chorus::server
