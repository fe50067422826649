#include "engine/adapters/adapter_digest.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/model/model_config.h"
#include "kernels/check.h"

namespace chorus::engine {
namespace {

std::string ModulesJson(std::span<const AdapterModule> modules, bool use_rslora) {
  std::string json = "[";
  for (const AdapterModule& module : modules) {
    const double alpha = module.alpha == 0.0 ? 0.0 : module.alpha;  // no -0
    absl::StrAppend(
        &json, json.size() == 1 ? "" : ",",
        absl::StrFormat(
            R"({"alpha":%.17g,"bias":%s,"module":"layers.%d.%s","rank":%d,"rslora":%s})", alpha,
            module.bias.has_value() ? "true" : "false", module.layer, kLinearNames[module.module],
            module.rank, use_rslora ? "true" : "false"));
  }
  return json + "]";
}

}  // namespace

void DigestBuilder::BeginTensor(std::string_view name, std::string_view dtype,
                                const std::vector<uint64_t>& shape) {
  CHORUS_CHECK_LT(last_name_, name);
  last_name_ = name;
  hash_.Add(
      absl::StrCat(last_name_, "\n", std::string(dtype), "\n", absl::StrJoin(shape, "x"), "\n"));
}

AdapterDigest DigestBuilder::Finish(const AdapterSpec& spec) {
  hash_.Add("\n");
  hash_.Add(ModulesJson(spec.modules, spec.use_rslora));
  if (!spec.invocation.empty()) {
    hash_.Add(absl::StrCat("\n{\"alora_invocation_tokens\":[", absl::StrJoin(spec.invocation, ","),
                           "]}"));
  }
  return AdapterDigest{hash_.Finish()};
}

}  // namespace chorus::engine
