#include "engine/adapters/adapter_digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/model/model_config.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr size_t kSlice = size_t{1} << 20;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    CHORUS_CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void Add(const void* data, size_t size) {
    CHORUS_CHECK(EVP_DigestUpdate(context_.get(), data, size) == 1);
  }
  void Add(const std::string& text) { Add(text.data(), text.size()); }
  std::array<uint8_t, 32> Finish() {
    std::array<uint8_t, 32> bytes;
    CHORUS_CHECK(EVP_DigestFinal_ex(context_.get(), bytes.data(), nullptr) == 1);
    return bytes;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

std::string ModulesJson(const AdapterSpec& spec) {
  std::vector<std::string> modules;
  for (const AdapterModule& module : spec.modules) {
    modules.push_back(absl::StrFormat(
        R"({"alpha":%.17g,"bias":%s,"module":"layers.%d.%s","rank":%d,"rslora":%s})", module.alpha,
        module.bias.has_value() ? "true" : "false", module.layer, kLinearNames[module.module],
        module.rank, spec.use_rslora ? "true" : "false"));
  }
  return absl::StrCat("[", absl::StrJoin(modules, ","), "]");
}

}  // namespace

absl::StatusOr<AdapterDigest> ComputeDigest(std::vector<DigestTensor> tensors,
                                            const AdapterSpec& spec, const ByteSource& file) {
  std::sort(tensors.begin(), tensors.end(),
            [](const DigestTensor& a, const DigestTensor& b) { return a.name < b.name; });
  Sha256 hash;
  hash.Add("chorus adapter 1\n");
  std::vector<std::byte> slice(kSlice);
  for (const DigestTensor& tensor : tensors) {
    hash.Add(absl::StrCat(tensor.name, "\n", tensor.dtype, "\n", absl::StrJoin(tensor.shape, "x"),
                          "\n"));
    for (uint64_t done = 0; done < tensor.bytes;) {
      const size_t size = std::min<uint64_t>(kSlice, tensor.bytes - done);
      CHORUS_RETURN_IF_ERROR(file.Read(tensor.offset + done, std::span(slice).first(size)));
      hash.Add(slice.data(), size);
      done += size;
    }
  }
  hash.Add(absl::StrCat("\n", ModulesJson(spec)));
  return AdapterDigest{hash.Finish()};
}

}  // namespace chorus::engine
