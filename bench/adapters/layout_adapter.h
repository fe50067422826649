// LayoutAdapter: an adapter for benches that looks at nothing but a layout: a number, and no file.
#ifndef CHORUS_BENCH_ADAPTERS_LAYOUT_ADAPTER_H_
#define CHORUS_BENCH_ADAPTERS_LAYOUT_ADAPTER_H_

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/adapters/adapter_version.h"

namespace chorus::bench {

class LayoutAdapter : public engine::AdapterVersion {
 public:
  LayoutAdapter(std::string tenant, int64_t index, engine::ImageLayout layout)
      : AdapterVersion(std::move(tenant), absl::StrCat("adapter-", index), 1, DigestOf(index),
                       std::move(layout)) {}

  absl::StatusOr<std::unique_ptr<engine::ImageReader>> OpenImage() const override {
    return absl::UnimplementedError("this adapter is a layout alone");
  }

 private:
  static engine::AdapterDigest DigestOf(int64_t index) {
    engine::AdapterDigest digest;
    std::memcpy(digest.bytes.data(), &index, sizeof(index));
    return digest;
  }
};

}  // namespace chorus::bench

#endif  // CHORUS_BENCH_ADAPTERS_LAYOUT_ADAPTER_H_
