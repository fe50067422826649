#include "tests/support/refusal_cases.h"

#include <iterator>

namespace chorus::test {

AdapterFiles GoodAdapter(const engine::ModelConfig& model) {
  return BuildAdapter(model, {.rank = 2, .alpha = 4.0});
}

AdapterUpload ToUpload(const AdapterFiles& files) {
  return {files.config_text(), files.tensor_file()};
}

const std::vector<RefusalCase>& AllRefusalCases() {
  static const std::vector<RefusalCase>* const all = [] {
    auto* cases = new std::vector<RefusalCase>();
    for (auto* group : {ConfigTextCases, ConfigFieldCases, ConfigTargetCases, TensorCases,
                        SafetensorsFileCases}) {
      std::vector<RefusalCase> some = group();
      std::move(some.begin(), some.end(), std::back_inserter(*cases));
    }
    return cases;
  }();
  return *all;
}

}  // namespace chorus::test
