// refusal_fixtures MODEL_DIR OUT_DIR: writes every adapter of the table of refusals, made for the
// model, for tests that upload them from outside. OUT_DIR/index.json is
//   {"good": files, "refused": [{"name", "reason": "ADAPTER_RANK", "object": part of the object,
//                                "pool": "any" | "f16" | "bf16", "files": files}, …]}
//   files := {"config": path below OUT_DIR, "tensors": path below OUT_DIR}
// "pool" is the type of the pool's values where the adapter is refused. Files that are the good
// adapter's are not written again.
#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "engine/json/strict_json.h"
#include "tests/support/refusal_cases.h"
#include "tests/support/safetensors_file.h"

namespace chorus::test {
namespace {

std::string PoolName(const RefusalCase& refused) {
  if (!refused.pool_dtype.has_value()) return "any";
  return *refused.pool_dtype == kernels::DType::kF16 ? "f16" : "bf16";
}

// Writes what differs from the good adapter, and says where everything lies.
engine::Json WriteAdapter(const std::string& out, const std::string& name,
                          const AdapterUpload& upload, const AdapterUpload& good) {
  std::filesystem::create_directories(absl::StrCat(out, "/", name));
  const auto write = [&](const char* file, const std::string& bytes, const std::string& theirs) {
    const std::string path = absl::StrCat(bytes == theirs ? "good" : name, "/", file);
    if (bytes != theirs || name == "good") WriteFile(absl::StrCat(out, "/", path), bytes);
    return path;
  };
  return {{"config", write("adapter_config.json", upload.config, good.config)},
          {"tensors", write("adapter_model.safetensors", upload.tensors, good.tensors)}};
}

int Run(const std::string& model_dir, const std::string& out) {
  const absl::StatusOr<engine::ModelConfig> model = engine::ModelConfig::Load(model_dir);
  if (!model.ok()) {
    std::fprintf(stderr, "%s\n", model.status().ToString().c_str());
    return 1;
  }
  const AdapterUpload good = ToUpload(GoodAdapter(*model));
  engine::Json index = {{"good", WriteAdapter(out, "good", good, good)}};
  engine::Json& refusals = index["refused"] = engine::Json::array();
  for (const RefusalCase& refused : AllRefusalCases()) {
    refusals.push_back({{"name", refused.name},
                        {"reason", engine::ReasonName(refused.reason)},
                        {"object", refused.object},
                        {"pool", PoolName(refused)},
                        {"files", WriteAdapter(out, refused.name, refused.make(*model), good)}});
  }
  WriteFile(absl::StrCat(out, "/index.json"), index.dump(1) + "\n");
  std::printf("%zu adapters that are refused, and one that is not\n", refusals.size());
  return 0;
}

}  // namespace
}  // namespace chorus::test

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: refusal_fixtures MODEL_DIR OUT_DIR\n");
    return 2;
  }
  return chorus::test::Run(argv[1], argv[2]);
}
