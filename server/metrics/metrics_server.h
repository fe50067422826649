// MetricsServer: answers GET /metrics on an address of its own, loopback until something
// authenticates. Owns its threads.
#ifndef CHORUS_SERVER_METRICS_METRICS_SERVER_H_
#define CHORUS_SERVER_METRICS_METRICS_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "prometheus/collectable.h"

namespace prometheus {
class Exposer;
}

namespace chorus::server {

class MetricsServer {
 public:
  // `address` as "127.0.0.1:9464" or "[::1]:0" (the system chooses the port). Unavailable, with
  // the system's reason, when it cannot listen there. `metrics` is shared because the HTTP server
  // keeps it only weakly.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const std::string& address, std::shared_ptr<prometheus::Collectable> metrics);
  // Waits for the scrapes under way.
  ~MetricsServer();

  int port() const { return port_; }

 private:
  MetricsServer(std::shared_ptr<prometheus::Collectable> metrics,
                std::unique_ptr<prometheus::Exposer> exposer, int port);

  const std::shared_ptr<prometheus::Collectable> metrics_;
  const std::unique_ptr<prometheus::Exposer> exposer_;
  const int port_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_METRICS_METRICS_SERVER_H_
