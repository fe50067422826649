// MemoryOptions: how much memory a backend takes; the one place where its defaults stand.
#ifndef CHORUS_ENGINE_BACKEND_MEMORY_OPTIONS_H_
#define CHORUS_ENGINE_BACKEND_MEMORY_OPTIONS_H_

#include <cstdint>

namespace chorus::engine {

struct MemoryOptions {
  static constexpr int64_t kCpuPoolBytes = int64_t{1} << 30;

  int64_t pool_bytes = 0;         // 0: kCpuPoolBytes on the CPU, on a device what is left
  double device_fraction = 0.92;  // of a device's memory, in use when pool_bytes is 0
  int64_t adapter_host_bytes = int64_t{2} << 30;  // pinned, images of adapters for a device
  int64_t kv_host_bytes = 0;  // for pages of KV that leave the pool, pinned for a device
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_BACKEND_MEMORY_OPTIONS_H_
