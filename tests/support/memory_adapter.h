// MemoryAdapter: one adapter version made from the two files of an upload and kept in memory, by
// the product's own path: PEFT reader → image → ImageReader. Immutable, so any thread may read.
#ifndef CHORUS_TESTS_SUPPORT_MEMORY_ADAPTER_H_
#define CHORUS_TESTS_SUPPORT_MEMORY_ADAPTER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/adapters/adapter_version.h"
#include "engine/model/model_config.h"
#include "kernels/device/pool_view.h"

namespace chorus::test {

class MemoryAdapter : public engine::AdapterVersion {
 public:
  // `config` and `tensors` are adapter_config.json and adapter_model.safetensors. What the reader
  // or the image writer refuses is passed through.
  static absl::StatusOr<std::shared_ptr<const MemoryAdapter>> Make(
      const std::string& tenant, const std::string& name, std::string_view config,
      std::string_view tensors, const engine::ModelConfig& model,
      const kernels::PoolView& geometry);

  absl::StatusOr<std::unique_ptr<engine::ImageReader>> OpenImage() const override;

  const engine::AdapterSpec& spec() const { return spec_; }
  const std::vector<std::string>& image_warnings() const { return image_warnings_; }

 private:
  MemoryAdapter(const std::string& tenant, const std::string& name, engine::AdapterSpec spec,
                engine::ImageLayout layout);

  const engine::AdapterSpec spec_;
  std::string fingerprint_;
  std::string image_;
  std::vector<std::string> image_warnings_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_MEMORY_ADAPTER_H_
