// StoredUpload: an upload on its way into a StoredCatalog. The tensors go to a staged file while
// they come; the config, which is small, waits in memory.
#ifndef CHORUS_ENGINE_ADAPTERS_STORED_UPLOAD_H_
#define CHORUS_ENGINE_ADAPTERS_STORED_UPLOAD_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/adapters/stored_catalog.h"

namespace chorus::engine {

class StoredUpload : public Upload {
 public:
  // REQUIRES: the catalog has reserved the upload; the upload gives that back when it goes.
  StoredUpload(StoredCatalog* catalog, UploadRequest request)
      : catalog_(catalog), request_(std::move(request)) {}
  ~StoredUpload() override;

  absl::Status Stage();  // first of all

  absl::Status AppendConfig(std::string_view bytes) override;
  absl::Status AppendTensors(std::string_view bytes) override;
  absl::StatusOr<AdapterInfo> Commit() override;

 private:
  absl::StatusOr<AdapterInfo> CheckAndStore();
  absl::Status CheckTransport();
  // An upload that failed once stays failed.
  absl::Status Fail(absl::Status status);
  std::string Label() const;

  StoredCatalog* const catalog_;
  const UploadRequest request_;
  std::string config_;
  std::unique_ptr<StagedFile> tensors_;
  absl::Status failed_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_STORED_UPLOAD_H_
