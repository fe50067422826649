// A catalog over a disk in memory with a clock that stands still, to be stopped and started again.
#ifndef CHORUS_TESTS_ENGINE_ADAPTERS_CATALOG_HARNESS_H_
#define CHORUS_TESTS_ENGINE_ADAPTERS_CATALOG_HARNESS_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/adapters/sha256.h"
#include "engine/adapters/stored_catalog.h"
#include "engine/refusal.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fault_fs.h"
#include "tests/support/small_adapter.h"

namespace chorus::test {

inline engine::UploadRequest RequestFor(const std::string& tenant, const std::string& name,
                                        const SmallAdapter& adapter,
                                        std::optional<int64_t> if_version = {}) {
  engine::UploadRequest request;
  request.tenant = tenant;
  request.name = name;
  request.if_version = if_version;
  request.config_bytes = adapter.config.size();
  request.tensor_bytes = adapter.tensors.size();
  return request;
}

// Announces, sends in pieces, commits.
inline absl::StatusOr<engine::AdapterInfo> Send(engine::Catalog& catalog,
                                                const engine::UploadRequest& request,
                                                const SmallAdapter& adapter, size_t piece = 256) {
  auto upload = catalog.BeginUpload(request);
  if (!upload.ok()) return upload.status();
  for (size_t at = 0; at < adapter.config.size(); at += piece) {
    const absl::Status sent = (*upload)->AppendConfig(adapter.config.substr(at, piece));
    if (!sent.ok()) return sent;
  }
  for (size_t at = 0; at < adapter.tensors.size(); at += piece) {
    const absl::Status sent = (*upload)->AppendTensors(adapter.tensors.substr(at, piece));
    if (!sent.ok()) return sent;
  }
  return (*upload)->Commit();
}

inline engine::Reason ReasonOf(const absl::Status& status) {
  const std::optional<engine::Refusal> refusal = engine::RefusalOf(status);
  return refusal.has_value() ? refusal->reason : engine::Reason::kUnspecified;
}

// Reads every layer of the image into cells of its own, as a load does.
inline absl::Status LoadImage(const engine::AdapterVersion& version) {
  auto image = version.OpenImage();
  if (!image.ok()) return image.status();
  kernels::PoolView pool = SmallGeometry();
  pool.num_ids = (*image)->layout().num_ids;
  std::vector<std::byte> bytes(static_cast<size_t>(pool.total_bytes()));
  pool.base = bytes.data();
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < pool.num_ids; ++id) ids.push_back(id);
  const auto cells = engine::CellsInFillOrder(ids, pool.num_ids * pool.num_slabs, pool);
  for (int layer = 0; layer < (*image)->num_layers(); ++layer) {
    const absl::Status read = (*image)->ReadLayer(layer, cells, pool);
    if (!read.ok()) return read;
  }
  return absl::OkStatus();
}

class CatalogHarness {
 public:
  explicit CatalogHarness(std::shared_ptr<FaultDisk> disk = std::make_shared<FaultDisk>())
      : disk_(std::move(disk)) {}

  absl::Status Open() {
    catalog_ = nullptr;
    engine::CatalogOptions options;
    options.model = model;
    options.geometry = geometry;
    options.limits = limits;
    options.background = false;
    options.scrub_bytes_per_second = scrub_bytes_per_second;
    options.files = std::make_unique<FaultFs>(disk_);
    auto opened = engine::StoredCatalog::Open(std::move(options), &clock);
    if (!opened.ok()) return opened.status();
    catalog_ = *std::move(opened);
    return absl::OkStatus();
  }
  // A later process: time has passed.
  absl::Status Restart() {
    catalog_ = nullptr;
    clock.Advance(absl::Seconds(1));
    return Open();
  }
  void Stop() { catalog_ = nullptr; }

  absl::StatusOr<engine::AdapterInfo> Put(const std::string& tenant, const std::string& name,
                                          uint64_t seed, std::optional<int64_t> if_version = {}) {
    const SmallAdapter adapter = SmallAdapter::Make(seed);
    return Send(*catalog_, RequestFor(tenant, name, adapter, if_version), adapter);
  }
  // Runs the background work until there is nothing to do at this time.
  void Settle() {
    while (catalog_->RunBackground() <= absl::ZeroDuration()) {
    }
  }

  engine::StoredCatalog& catalog() { return *catalog_; }
  FaultDisk& disk() { return *disk_; }
  FaultFs files() { return FaultFs(disk_); }
  // Paths that begin so.
  std::vector<std::string> Paths(const std::string& prefix) const {
    std::vector<std::string> paths;
    for (const auto& [path, bytes] : disk_->Files()) {
      if (path.starts_with(prefix)) paths.push_back(path);
    }
    return paths;
  }

  FakeClock clock;
  engine::CatalogLimits limits;
  engine::ModelConfig model = SmallModel();
  kernels::PoolView geometry = SmallGeometry();
  double scrub_bytes_per_second = 0;

 private:
  const std::shared_ptr<FaultDisk> disk_;  // shared with open files
  std::unique_ptr<engine::StoredCatalog> catalog_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_ADAPTERS_CATALOG_HARNESS_H_
