// What the tensors of an adapter may not be: names, shapes, types, values.
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tests/support/refusal_cases.h"

namespace chorus::test {
namespace {

using engine::ModelConfig;
using engine::Reason;
using kernels::DType;

using Change = std::function<void(const ModelConfig&, AdapterFiles&)>;

constexpr char kFile[] = "adapter_model.safetensors";

// A good adapter whose tensors were changed.
RefusalCase Tensors(std::string name, Reason reason, std::string object, Change change) {
  return {std::move(name),
          reason,
          std::move(object),
          [change = std::move(change)](const ModelConfig& model) {
            AdapterFiles files = GoodAdapter(model);
            change(model, files);
            return ToUpload(files);
          },
          {}};
}

uint64_t Count(const std::vector<uint64_t>& shape) {
  uint64_t count = 1;
  for (const uint64_t size : shape) count *= size;
  return count;
}

FileTensor Zeros(const std::string& name, const std::vector<uint64_t>& shape) {
  return {name, "F32", shape, std::string(Count(shape) * 4, '\0')};
}

// A good adapter and one tensor more, of this name.
RefusalCase Extra(std::string name, Reason reason, const std::string& tensor) {
  return Tensors(std::move(name), reason, absl::StrCat(kFile, ": ", tensor),
                 [tensor](const ModelConfig&, AdapterFiles& files) {
                   files.tensors.push_back(Zeros(tensor, {2, 2}));
                 });
}

void AddNames(std::vector<RefusalCase>* cases) {
  const std::string layer = "base_model.model.model.layers.0.";
  const std::vector<std::pair<std::string, std::string>> others = {
      {"dora", layer + "self_attn.q_proj.lora_magnitude_vector.weight"},
      {"old_dora", layer + "self_attn.q_proj.lora_magnitude_vector"},
      {"embedding_lora", "base_model.model.model.embed_tokens.lora_embedding_A"},
      {"trainable_tokens",
       "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"},
      {"adalora", layer + "self_attn.q_proj.lora_E"},
      {"kasa", layer + "self_attn.q_proj.lora_diag.weight"},
      {"lora_xs", layer + "self_attn.q_proj.lora_latent_mapping.weight"},
      {"lm_head_lora", "base_model.model.lm_head.lora_A.weight"},
      {"lm_head", "base_model.model.lm_head.weight"},
      {"embeddings", "base_model.model.model.embed_tokens.weight"},
      {"base_bias", layer + "self_attn.q_proj.base_layer.bias"},
      {"bias", layer + "self_attn.q_proj.bias"},
      {"saved_module", layer + "mlp.modules_to_save.weight"},
      {"norm", layer + "input_layernorm.weight"},
      {"loha", layer + "self_attn.q_proj.hada_w1_a"},
      {"lokr", layer + "self_attn.q_proj.lokr_w1"},
      {"ia3", layer + "mlp.down_proj.ia3_l"},
      {"vera", layer + "self_attn.q_proj.vera_lambda_b"},
      {"oft", layer + "self_attn.q_proj.oft_R.weight"},
      {"prompt", "prompt_embeddings"},
      {"prefixed_prompt", "base_model.model.prompt_embeddings"},
  };
  for (const auto& [name, tensor] : others) {
    cases->push_back(Extra("tensor_of_" + name, Reason::kAdapterUnsupportedKind, tensor));
  }
  const std::vector<std::pair<std::string, std::string>> unknown = {
      {"without_prefix", "model.layers.0.self_attn.k_proj.lora_A.weight"},
      {"path", "../../../../etc/passwd"},
      {"absolute_path", "/etc/passwd"},
      {"path_after_prefix", "base_model.model.model.layers.0/../../x.lora_A.weight"},
      {"leading_zero", "base_model.model.model.layers.01.self_attn.q_proj.lora_A.weight"},
      {"plus", "base_model.model.model.layers.+1.self_attn.q_proj.lora_A.weight"},
      {"negative_layer", "base_model.model.model.layers.-1.self_attn.q_proj.lora_A.weight"},
      {"layer_out_of_range", "base_model.model.model.layers.5000.self_attn.q_proj.lora_A.weight"},
      {"layer_overflow", "base_model.model.model.layers.4294967296.self_attn.q_proj.lora_A.weight"},
      {"no_layer", "base_model.model.model.layers"},
      {"adapter_name", layer + "self_attn.q_proj.lora_A.default.weight"},
      {"third_matrix", layer + "self_attn.q_proj.lora_C.weight"},
      {"bias_of_a", layer + "self_attn.q_proj.lora_A.bias"},
      {"upper_case", layer + "self_attn.Q_PROJ.lora_A.weight"},
      {"fused_linear", layer + "self_attn.qkv_proj.lora_A.weight"},
      {"misplaced_linear", layer + "mlp.q_proj.lora_A.weight"},
      {"deeper_linear", layer + "self_attn.q_proj.q_proj.lora_A.weight"},
      {"mlx", layer + "self_attn.q_proj.lora_a"},
      {"router", layer + "mlp.router.lora_A.weight"},
      {"doubled_prefix",
       "base_model.model.base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"},
  };
  for (const auto& [name, tensor] : unknown) {
    cases->push_back(Extra("tensor_name_" + name, Reason::kAdapterTensorUnknown, tensor));
  }
  cases->push_back(Extra("tensor_name_not_targeted", Reason::kAdapterTarget,
                         layer + "self_attn.k_proj.lora_A.weight"));
  cases->back().object = absl::StrCat(kFile, ": self_attn.k_proj of layer 0");
}

void AddMissing(std::vector<RefusalCase>* cases) {
  for (const char* part : {"lora_A", "lora_B"}) {
    cases->push_back(Tensors(absl::StrCat("missing_", part == std::string("lora_A") ? "a" : "b"),
                             Reason::kAdapterTensorMissing,
                             absl::StrCat("self_attn.v_proj.", part, " of layer 1"),
                             [part](const ModelConfig&, AdapterFiles& files) {
                               files.Remove(PeftName(1, "v_proj", absl::StrCat(part, ".weight")));
                             }));
  }
  cases->push_back(Tensors("missing_module", Reason::kAdapterTensorMissing,
                           "self_attn.q_proj.lora_A of layer 1",
                           [](const ModelConfig&, AdapterFiles& files) {
                             files.Remove(PeftName(1, "q_proj", "lora_A.weight"));
                             files.Remove(PeftName(1, "q_proj", "lora_B.weight"));
                           }));
  cases->push_back(Tensors(
      "missing_bias", Reason::kAdapterTensorMissing, "self_attn.q_proj.lora_B.bias of layer 0",
      [](const ModelConfig&, AdapterFiles& files) { files.config["lora_bias"] = true; }));
  cases->push_back(Tensors(
      "bias_without_lora_bias", Reason::kAdapterTensorUnknown,
      "self_attn.q_proj.lora_B.bias of layer 0", [](const ModelConfig& model, AdapterFiles& files) {
        const auto outputs = static_cast<uint64_t>(model.linear(kernels::kQ).outputs);
        files.tensors.push_back(Zeros(PeftName(0, "q_proj", "lora_B.bias"), {outputs}));
      }));
  cases->push_back(Tensors("no_tensors_at_all", Reason::kAdapterTensorMissing, kFile,
                           [](const ModelConfig&, AdapterFiles& files) { files.tensors.clear(); }));
}

using Shape = std::vector<uint64_t>;

void AddShapes(std::vector<RefusalCase>* cases) {
  const auto add = [&](const char* name, Reason reason, const char* part, auto reshape) {
    cases->push_back(Tensors(absl::StrCat("shape_", name), reason,
                             absl::StrCat("self_attn.v_proj.", part, " of layer 0"),
                             [=](const ModelConfig&, AdapterFiles& files) {
                               FileTensor& tensor = files.tensor(
                                   PeftName(0, "v_proj", absl::StrCat(part, ".weight")));
                               tensor.shape = reshape(tensor.shape);
                               tensor.bytes.resize(Count(tensor.shape) * 4);
                             }));
  };
  const auto turned = [](const Shape& s) { return Shape{s[1], s[0]}; };
  const auto flat = [](const Shape& s) { return Shape{s[0] * s[1]}; };
  const auto cubic = [](const Shape& s) { return Shape{s[0], s[1], 1}; };
  const auto scalar = [](const Shape&) { return Shape{}; };
  const auto shorter = [](const Shape& s) { return Shape{s[0], s[1] - 1}; };
  const auto longer = [](const Shape& s) { return Shape{s[0] + 1, s[1]}; };
  const auto empty = [](const Shape& s) { return Shape{s[0], 0}; };
  // A's first size is the rank, which is compared first.
  add("a_transposed", Reason::kAdapterRank, "lora_A", turned);
  add("a_of_other_rank", Reason::kAdapterRank, "lora_A", longer);
  add("a_flat", Reason::kAdapterTensorShape, "lora_A", flat);
  add("a_cubic", Reason::kAdapterTensorShape, "lora_A", cubic);
  add("a_scalar", Reason::kAdapterTensorShape, "lora_A", scalar);
  add("a_too_narrow", Reason::kAdapterTensorShape, "lora_A", shorter);
  add("a_empty", Reason::kAdapterTensorShape, "lora_A", empty);
  add("b_transposed", Reason::kAdapterTensorShape, "lora_B", turned);
  add("b_of_other_rank", Reason::kAdapterTensorShape, "lora_B", shorter);
  add("b_of_other_width", Reason::kAdapterTensorShape, "lora_B", longer);
  add("b_flat", Reason::kAdapterTensorShape, "lora_B", flat);
  add("b_empty", Reason::kAdapterTensorShape, "lora_B", empty);
  cases->push_back(Tensors("shape_bias_too_long", Reason::kAdapterTensorShape,
                           "self_attn.q_proj.lora_B.bias of layer 0",
                           [](const ModelConfig& model, AdapterFiles& files) {
                             files = BuildAdapter(model, {.rank = 2, .lora_bias = true});
                             FileTensor& bias = files.tensor(PeftName(0, "q_proj", "lora_B.bias"));
                             ++bias.shape[0];
                             bias.bytes.resize(bias.bytes.size() + 4);
                           }));
  // As if for a base model of other widths.
  cases->push_back(Tensors("shape_of_another_model", Reason::kAdapterTensorShape,
                           "self_attn.q_proj.lora_A of layer 0",
                           [](const ModelConfig& model, AdapterFiles& files) {
                             ModelConfig other = model;
                             other.hidden *= 2;
                             files = GoodAdapter(other);
                           }));
  cases->push_back(Tensors("shape_of_a_deeper_model", Reason::kAdapterTensorUnknown, "",
                           [](const ModelConfig& model, AdapterFiles& files) {
                             ModelConfig other = model;
                             ++other.layers;
                             files = GoodAdapter(other);
                           }));
}

void AddTypes(std::vector<RefusalCase>* cases) {
  const std::vector<std::pair<std::string, uint64_t>> types = {
      {"F64", 8}, {"I64", 8}, {"U64", 8}, {"C64", 8},  {"I32", 4},     {"U32", 4},    {"I16", 2},
      {"U16", 2}, {"I8", 1},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  for (const auto& [type, bytes] : types) {
    cases->push_back(
        Tensors(absl::StrCat("type_", absl::AsciiStrToLower(type)), Reason::kAdapterTensorType,
                absl::StrCat(kFile, ": ", PeftName(0, "q_proj", "lora_A.weight")),
                [type = type, bytes = bytes](const ModelConfig&, AdapterFiles& files) {
                  FileTensor& tensor = files.tensor(PeftName(0, "q_proj", "lora_A.weight"));
                  tensor.dtype = type;
                  tensor.bytes.assign(Count(tensor.shape) * bytes, '\0');
                }));
  }
}

// One element of layer 1's v_proj.lora_B has these bits.
Change Value(const std::string& dtype, uint32_t bits, bool last) {
  return [=](const ModelConfig&, AdapterFiles& files) {
    FileTensor& tensor = files.tensor(PeftName(1, "v_proj", "lora_B.weight"));
    const uint64_t count = Count(tensor.shape);
    const uint64_t at = last ? count - 1 : count / 2;
    tensor.dtype = dtype;
    tensor.bytes = Elements(dtype, count, [](uint64_t) { return 0.5f; });
    const size_t size = tensor.bytes.size() / count;
    std::memcpy(tensor.bytes.data() + at * size, &bits, size);  // little-endian
  };
}

void AddValues(std::vector<RefusalCase>* cases) {
  const std::string object = absl::StrCat(kFile, ": ", PeftName(1, "v_proj", "lora_B.weight"));
  struct Bits {
    const char* name;
    uint32_t f32, f16, bf16;
  };
  constexpr Bits kBits[] = {{"nan", 0x7fc00000, 0x7e00, 0x7fc0},
                            {"negative_nan", 0xffffffff, 0xffff, 0xffff},
                            {"signalling_nan", 0x7f800001, 0x7c01, 0x7f81},
                            {"infinity", 0x7f800000, 0x7c00, 0x7f80},
                            {"negative_infinity", 0xff800000, 0xfc00, 0xff80}};
  for (const Bits& bits : kBits) {
    for (const bool last : {false, true}) {
      const auto add = [&](const char* dtype, uint32_t value) {
        cases->push_back(Tensors(absl::StrCat("value_", last ? "last_" : "", bits.name, "_in_",
                                              absl::AsciiStrToLower(dtype)),
                                 Reason::kAdapterNotFinite, object, Value(dtype, value, last)));
      };
      add("F32", bits.f32);
      add("F16", bits.f16);
      add("BF16", bits.bf16);
    }
  }
  const auto overflow = [&](const char* name, DType pool, float value) {
    cases->push_back(Tensors(name, Reason::kAdapterNotFinite, "self_attn.v_proj.lora_B of layer 1",
                             Value("F32", std::bit_cast<uint32_t>(value), false)));
    cases->back().pool_dtype = pool;
  };
  overflow("value_overflows_f16", DType::kF16, 65520.0f);
  overflow("value_overflows_f16_below", DType::kF16, -1e6f);
  overflow("value_overflows_bf16", DType::kBf16, 3.4e38f);
  overflow("value_overflows_bf16_below", DType::kBf16, -3.4e38f);
}

}  // namespace

std::vector<RefusalCase> TensorCases() {
  std::vector<RefusalCase> cases;
  AddNames(&cases);
  AddMissing(&cases);
  AddShapes(&cases);
  AddTypes(&cases);
  AddValues(&cases);
  return cases;
}

}  // namespace chorus::test
