#include "engine/model/device_pool.h"

#include <algorithm>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

absl::Status TooSmall(const kernels::PoolView& page, const DevicePoolSize& size, int64_t bytes,
                      const std::string& from) {
  const int64_t page_bytes = page.total_bytes();
  return absl::ResourceExhaustedError(absl::StrCat(
      "pool: expected at least ", size.min_pages * page_bytes, " bytes (", size.min_pages, " x ",
      page_bytes, ", a page in all layers), got ", std::max<int64_t>(bytes, 0), from));
}

}  // namespace

absl::StatusOr<DevicePool> DevicePool::Allocate(kernels::Device* device,
                                                const kernels::PoolView& geometry,
                                                const DevicePoolSize& size) {
  DevicePool pool;
  pool.view_ = geometry;
  pool.view_.num_ids = 1;
  const int64_t page_bytes = pool.view_.total_bytes();
  CHORUS_ASSIGN_OR_RETURN(const int64_t free, device->FreeBytes());
  const int64_t bytes = size.bytes > 0 ? size.bytes : free - size.reserve_bytes;
  if (bytes < size.min_pages * page_bytes) {
    return TooSmall(pool.view_, size, bytes,
                    size.bytes > 0
                        ? ""
                        : absl::StrCat(": free are ", free, " of ", device->info().total_bytes,
                                       ", of which ", size.reserve_bytes, " are kept in reserve"));
  }
  // Pages and cells have 32-bit numbers.
  const int64_t most = std::numeric_limits<int32_t>::max() / geometry.num_slabs;
  pool.view_.num_ids = std::min(bytes / page_bytes, most);
  CHORUS_ASSIGN_OR_RETURN(pool.memory_, device->Allocate(pool.view_.total_bytes()));
  pool.view_.base = pool.memory_.data();
  return pool;
}

}  // namespace chorus::engine
