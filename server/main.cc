// chorusd: serves one base model and its adapters until SIGTERM or SIGINT, which drain it; a second
// one ends it at once. Exit: 0 after a drain, 1 for a bad configuration or model, 2 when the engine
// has failed or the drain took too long.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/clock.h"
#include "server/config/command_line.h"
#include "server/daemon.h"
#include "server/log/log.h"

namespace chorus::server {
namespace {

sigset_t EndingSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Waits one tick; true when a signal came.
bool SignalCame(const sigset_t& signals) {
  const timespec tick = absl::ToTimespec(Daemon::kTick);
  return sigtimedwait(&signals, nullptr, &tick) > 0;
}

int Serve(const ServerConfig& config) {
  const sigset_t signals = EndingSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // in every thread: this one waits for them
  signal(SIGPIPE, SIG_IGN);
  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start(config);
  if (!daemon.ok()) {
    LogError("chorusd cannot start", {{"why", daemon.status().message()}});
    return 1;
  }
  LogInfo("ready", {{"listen", config.listen},
                    {"grpc_port", (*daemon)->grpc_port()},
                    {"metrics_port", (*daemon)->metrics_port()}});
  const engine::Clock& clock = *engine::Clock::Real();
  absl::Time give_up = absl::InfiniteFuture();
  int exit_status = 0;
  while (true) {
    if (SignalCame(signals)) {
      if (give_up != absl::InfiniteFuture()) _exit(2);
      (*daemon)->Drain();
      give_up = clock.Now() + absl::Milliseconds(config.drain_delay_ms + config.drain_timeout_ms);
    }
    const absl::Status alive = (*daemon)->Tick();
    if (!alive.ok()) {
      LogError("chorusd ends to be started again", {{"why", alive.message()}});
      _exit(2);  // a lost device may hold up every destructor
    }
    if (give_up == absl::InfiniteFuture()) continue;
    if ((*daemon)->Drained()) break;
    if (clock.Now() >= give_up) {
      LogWarning("drain took too long, what still runs is ended");
      exit_status = 2;
      break;
    }
  }
  daemon->reset();
  LogInfo("ended");
  return exit_status;
}

}  // namespace
}  // namespace chorus::server

int main(int argc, char** argv) {
  using chorus::server::CommandLine;
  const absl::StatusOr<CommandLine> command = chorus::server::ParseCommandLine(argc, argv);
  if (!command.ok()) {
    std::fprintf(stderr, "%s\n", std::string(command.status().message()).c_str());
    return 1;
  }
  std::fputs(command->text.c_str(), stdout);
  if (command->action != CommandLine::Action::kRun) return 0;
  return chorus::server::Serve(command->config);
}
