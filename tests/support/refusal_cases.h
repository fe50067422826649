// The table of adapters that must be refused: what is wrong, which reason says so, and the two
// files that a client would upload. Unit tests read them, end-to-end tests send them
// (refusal_fixtures writes them into a directory).
#ifndef CHORUS_TESTS_SUPPORT_REFUSAL_CASES_H_
#define CHORUS_TESTS_SUPPORT_REFUSAL_CASES_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/model_config.h"
#include "engine/refusal.h"
#include "kernels/device/dtype.h"
#include "tests/support/adapter_builder.h"

namespace chorus::test {

// adapter_config.json and adapter_model.safetensors, byte by byte.
struct AdapterUpload {
  std::string config;
  std::string tensors;
};

struct RefusalCase {
  std::string name;  // unique, [a-z0-9_]: also the fixture's directory
  engine::Reason reason;
  std::string object;  // part of the refusal's object
  std::function<AdapterUpload(const engine::ModelConfig&)> make;
  // Refused only where the pool's values have this type.
  std::optional<kernels::DType> pool_dtype;
};

// All of them, in groups. The model needs two layers.
const std::vector<RefusalCase>& AllRefusalCases();

// The adapter that each case but for its fault would be: rank 2 on q_proj and v_proj of every
// layer. It is accepted.
AdapterFiles GoodAdapter(const engine::ModelConfig& model);
AdapterUpload ToUpload(const AdapterFiles& files);

// The groups.
std::vector<RefusalCase> ConfigTextCases();       // adapter_config.json is not one
std::vector<RefusalCase> ConfigFieldCases();      // its fields
std::vector<RefusalCase> ConfigTargetCases();     // target_modules and companions, patterns
std::vector<RefusalCase> TensorCases();           // names, shapes, types, values
std::vector<RefusalCase> SafetensorsFileCases();  // the file's own grammar

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_REFUSAL_CASES_H_
