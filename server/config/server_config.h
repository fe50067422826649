// ServerConfig: everything that chorusd can be told, and the one place where the server's own
// defaults stand (those of the engine and of the catalog stand in theirs). A plain value: filled by
// the command line and the file, read by main, built by hand in tests.
#ifndef CHORUS_SERVER_CONFIG_SERVER_CONFIG_H_
#define CHORUS_SERVER_CONFIG_SERVER_CONFIG_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "engine/adapters/stored_catalog.h"
#include "engine/backend/memory_options.h"
#include "engine/schedule/engine_options.h"

namespace chorus::server {

enum class ComputeType { kAuto, kBf16, kF16, kF32 };
// Whether sampling fields that a request leaves unset come from the model's generation_config.json.
enum class GenerationDefaults { kAuto, kNone };

// Fields are those of chorus.v1.Config; each has a flag of its name.
struct ServerConfig {
  // Model
  std::string model;              // a Hugging Face directory; required
  std::string served_model_name;  // empty: the last component of `model`
  ComputeType dtype = ComputeType::kAuto;
  std::string device = "auto";  // or "cpu", "cuda", "cuda:N"
  GenerationDefaults generation_config = GenerationDefaults::kAuto;
  std::string chat_template;  // a file; empty: the model's own
  bool isolate_special_tokens = false;
  // Addresses
  std::string listen = "127.0.0.1:50051";         // or "unix:PATH"
  std::string metrics_listen = "127.0.0.1:9464";  // IPv4, or "none"
  std::string port_file;                          // empty: none is written
  // Memory and compute
  engine::MemoryOptions memory;  // device_memory_fraction is its device_fraction
  int32_t threads = 0;           // 0: one for each processor that the process may use
  // Adapters
  std::string store = "chorus-store";  // a directory, made when it is not there
  bool allow_volatile_store = false;
  engine::CatalogLimits catalog;  // max_adapter_bytes is its max_tensor_bytes; max_uploads
  // Scheduling
  engine::EngineOptions engine;
  // Serving
  int32_t max_connections = 1024;
  int32_t stall_limit_ms = 5000;     // a client that reads nothing for so long is cut off
  int32_t drain_delay_ms = 0;        // between "not ready" and the first refusal
  int32_t drain_timeout_ms = 30000;  // what still runs then is ended
  // Experiments, of benches alone; experiment_lora_compute is the engine's lora_compute
  int32_t experiment_pad_rank = 0;  // adapters of a smaller rank are kept and computed at this one

  // Fills in what follows from other fields or the machine: served_model_name, threads.
  void Resolve();

  // InvalidArgument that names the flag, what was expected and what came; one line for each thing
  // that is wrong. Reads no files.
  absl::Status Validate() const;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_CONFIG_SERVER_CONFIG_H_
