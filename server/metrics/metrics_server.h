// MetricsServer: answers GET /metrics on an address of its own, loopback until something
// authenticates. Owns its threads.
#ifndef CHORUS_SERVER_METRICS_METRICS_SERVER_H_
#define CHORUS_SERVER_METRICS_METRICS_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "prometheus/collectable.h"
#include "server/config/address.h"

namespace prometheus {
class Exposer;
}

namespace chorus::server {

class MetricsServer {
 public:
  // `address` is an IPv4 one such as "127.0.0.1:9464"; port 0: the system chooses. InvalidArgument
  // for anything else; Unavailable, with the system's reason, when it cannot listen there.
  // `metrics` is shared because the HTTP server keeps it only weakly.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const std::string& address, std::shared_ptr<prometheus::Collectable> metrics);
  // Waits for the scrapes under way.
  ~MetricsServer();

  int port() const { return address_.port; }

 private:
  MetricsServer(Address address, std::shared_ptr<prometheus::Collectable> metrics,
                std::unique_ptr<prometheus::Exposer> exposer);

  const Address address_;  // with the port that was chosen
  const std::shared_ptr<prometheus::Collectable> metrics_;
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_METRICS_METRICS_SERVER_H_
