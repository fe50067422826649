#include "engine/model/weights.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/json/strict_json.h"
#include "engine/model/byte_source.h"
#include "engine/model/safetensors.h"
#include "engine/refusal.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DType;
using kernels::PackedMatrix;

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr size_t kSliceBytes = size_t{4} << 20;

absl::Status Wrong(const std::string& object, std::string expected, std::string got) {
  return Refuse(Reason::kModelUnsupported, object, std::move(expected), std::move(got));
}

// All tensors of a checkpoint, whichever files they lie in.
class Checkpoint {
 public:
  static absl::StatusOr<Checkpoint> Open(const std::string& dir) {
    Checkpoint checkpoint;
    const absl::StatusOr<std::unique_ptr<ByteSource>> index =
        OpenFile(absl::StrCat(dir, "/", kIndexFile));
    if (absl::IsNotFound(index.status())) {
      CHORUS_RETURN_IF_ERROR(checkpoint.Add(dir, kSingleFile));
      return checkpoint;
    }
    CHORUS_RETURN_IF_ERROR(index.status());
    std::string text((*index)->size(), '\0');
    CHORUS_RETURN_IF_ERROR((*index)->Read(0, std::as_writable_bytes(std::span(text))));
    JsonLimits limits;
    limits.max_bytes = size_t{64} << 20;
    limits.max_values = size_t{1} << 20;
    CHORUS_ASSIGN_OR_RETURN(const Json json, ParseStrictJson(text, kIndexFile, limits));
    const JsonValue map = JsonValue(&json, kIndexFile)["weight_map"];
    if (!map.is_object()) return Wrong(map.place(), "an object", map.Shown());
    std::set<std::string> files;
    for (const auto& [tensor, file] : map.json().items()) {
      if (!file.is_string() || file.get<std::string>().find('/') != std::string::npos) {
        return Wrong(absl::StrCat(map.place(), ": ", Quoted(tensor)), "a file name", "another");
      }
      files.insert(file.get<std::string>());
    }
    for (const std::string& file : files) CHORUS_RETURN_IF_ERROR(checkpoint.Add(dir, file));
    return checkpoint;
  }

  struct Tensor {
    const ByteSource* file = nullptr;
    SafetensorsEntry entry;
    bool used = false;
  };
  std::map<std::string, Tensor>& tensors() { return tensors_; }

 private:
  absl::Status Add(const std::string& dir, const std::string& name) {
    CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<ByteSource> file,
                            OpenFile(absl::StrCat(dir, "/", name)));
    SafetensorsLimits limits;
    limits.max_header_bytes = uint64_t{100} << 20;
    limits.max_tensors = size_t{1} << 20;
    CHORUS_ASSIGN_OR_RETURN(std::vector<SafetensorsEntry> entries,
                            ReadSafetensorsHeader(*file, name, limits));
    for (SafetensorsEntry& entry : entries) {
      const std::string tensor = entry.name;
      if (!tensors_.try_emplace(tensor, Tensor{file.get(), std::move(entry)}).second) {
        return Wrong(absl::StrCat(name, ": ", tensor), "a tensor that stands in one file", "two");
      }
    }
    files_.push_back(std::move(file));
    return absl::OkStatus();
  }

  std::vector<std::unique_ptr<ByteSource>> files_;
  std::map<std::string, Tensor> tensors_;
};

absl::StatusOr<DType> TypeOf(const SafetensorsEntry& entry) {
  if (entry.dtype == "F32") return DType::kF32;
  if (entry.dtype == "BF16") return DType::kBf16;
  if (entry.dtype == "F16") return DType::kF16;
  return Wrong(entry.name, "F32, BF16 or F16", entry.dtype);
}

void ToFloats(const std::byte* bytes, DType dtype, std::span<float> out) {
  if (dtype == DType::kF32) {
    std::memcpy(out.data(), bytes, out.size_bytes());
    return;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, 2);
    out[i] = dtype == DType::kBf16 ? kernels::Bf16{bits}.ToFloat() : kernels::F16{bits}.ToFloat();
  }
}

// Buffers of training code that transformers ignores as well.
bool Ignorable(const std::string& name, const ModelConfig& config) {
  return absl::EndsWith(name, ".rotary_emb.inv_freq") ||
         (config.tied_embeddings && name == "lm_head.weight");
}

}  // namespace

class WeightsLoader {
 public:
  WeightsLoader(Checkpoint* checkpoint, const ModelConfig& config, DType dtype)
      : tensors_(checkpoint->tensors()),
        config_(config),
        dtype_(dtype),
        hash_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    CHORUS_CHECK(EVP_DigestInit_ex(hash_.get(), EVP_sha256(), nullptr) == 1);
  }

  absl::StatusOr<Weights> Load() {
    Weights weights;
    weights.dtype_ = dtype_;
    const auto vocabulary = int64_t{config_.vocabulary};
    CHORUS_ASSIGN_OR_RETURN(PackedMatrix embedding,
                            Matrix({{"model.embed_tokens.weight", vocabulary}}, config_.hidden));
    if (config_.tied_embeddings) {
      weights.lm_head_ = std::move(embedding);
    } else {
      weights.embedding_ = std::move(embedding);
      CHORUS_ASSIGN_OR_RETURN(weights.lm_head_,
                              Matrix({{"lm_head.weight", vocabulary}}, config_.hidden));
    }
    for (int32_t layer = 0; layer < config_.layers; ++layer) {
      CHORUS_ASSIGN_OR_RETURN(LayerWeights loaded, Layer(layer));
      weights.layers_.push_back(std::move(loaded));
    }
    CHORUS_ASSIGN_OR_RETURN(weights.final_norm_, Vector({{"model.norm.weight", config_.hidden}}));
    for (const auto& [name, tensor] : tensors_) {
      if (tensor.used || Ignorable(name, config_)) continue;
      return Wrong(name, "a tensor that this architecture has", "one that nothing would use");
    }
    unsigned char bytes[32];
    CHORUS_CHECK(EVP_DigestFinal_ex(hash_.get(), bytes, nullptr) == 1);
    weights.digest_ = absl::BytesToHexString(
        absl::string_view(reinterpret_cast<const char*>(bytes), sizeof(bytes)));
    return weights;
  }

 private:
  struct Piece {
    std::string name;
    int64_t outputs;
  };

  absl::StatusOr<LayerWeights> Layer(int32_t layer) {
    const std::string prefix = absl::StrCat("model.layers.", layer, ".");
    const auto linear = [&](int module, const char* part) {
      return Piece{absl::StrCat(prefix, kLinearNames[module], ".", part),
                   config_.linear(static_cast<kernels::LoraModule>(module)).outputs};
    };
    const int64_t heads_width = int64_t{config_.heads} * config_.head_dim;
    LayerWeights weights;
    CHORUS_ASSIGN_OR_RETURN(weights.input_norm,
                            Vector({{prefix + "input_layernorm.weight", config_.hidden}}));
    CHORUS_ASSIGN_OR_RETURN(weights.post_attention_norm,
                            Vector({{prefix + "post_attention_layernorm.weight", config_.hidden}}));
    CHORUS_ASSIGN_OR_RETURN(
        weights.qkv,
        Matrix({linear(0, "weight"), linear(1, "weight"), linear(2, "weight")}, config_.hidden));
    CHORUS_ASSIGN_OR_RETURN(weights.o, Matrix({linear(3, "weight")}, heads_width));
    CHORUS_ASSIGN_OR_RETURN(weights.gate_up,
                            Matrix({linear(4, "weight"), linear(5, "weight")}, config_.hidden));
    CHORUS_ASSIGN_OR_RETURN(weights.down, Matrix({linear(6, "weight")}, config_.intermediate));
    if (config_.qkv_bias) {
      CHORUS_ASSIGN_OR_RETURN(weights.qkv_bias,
                              Vector({linear(0, "bias"), linear(1, "bias"), linear(2, "bias")}));
    }
    if (config_.o_bias) {
      CHORUS_ASSIGN_OR_RETURN(weights.o_bias, Vector({linear(3, "bias")}));
    }
    if (config_.mlp_bias) {
      CHORUS_ASSIGN_OR_RETURN(weights.gate_up_bias, Vector({linear(4, "bias"), linear(5, "bias")}));
      CHORUS_ASSIGN_OR_RETURN(weights.down_bias, Vector({linear(6, "bias")}));
    }
    if (config_.qk_norm) {
      CHORUS_ASSIGN_OR_RETURN(weights.q_norm,
                              Vector({{prefix + "self_attn.q_norm.weight", config_.head_dim}}));
      CHORUS_ASSIGN_OR_RETURN(weights.k_norm,
                              Vector({{prefix + "self_attn.k_norm.weight", config_.head_dim}}));
    }
    return weights;
  }

  // Pieces one under the other, as one packed matrix.
  absl::StatusOr<PackedMatrix> Matrix(const std::vector<Piece>& pieces, int64_t inputs) {
    int64_t outputs = 0;
    for (const Piece& piece : pieces) outputs += piece.outputs;
    CHORUS_ASSIGN_OR_RETURN(PackedMatrix matrix, PackedMatrix::Allocate(dtype_, outputs, inputs));
    int64_t row = 0;
    for (const Piece& piece : pieces) {
      CHORUS_RETURN_IF_ERROR(
          ReadRows(piece, inputs, [&](const float* values) { matrix.SetRow(row++, values); }));
    }
    return matrix;
  }

  absl::StatusOr<std::vector<float>> Vector(const std::vector<Piece>& pieces) {
    std::vector<float> vector;
    for (const Piece& piece : pieces) {
      CHORUS_RETURN_IF_ERROR(ReadRows(
          {piece.name, 1}, piece.outputs,
          [&](const float* values) { vector.insert(vector.end(), values, values + piece.outputs); },
          /*flat=*/true));
    }
    return vector;
  }

  // Calls row(values) for each row of the tensor [outputs, inputs] (or [inputs], when flat).
  template <class Row>
  absl::Status ReadRows(const Piece& piece, int64_t inputs, const Row& row, bool flat = false) {
    const auto found = tensors_.find(piece.name);
    if (found == tensors_.end()) return Wrong(piece.name, "a tensor", "nothing");
    Checkpoint::Tensor& tensor = found->second;
    tensor.used = true;
    std::vector<uint64_t> shape = {static_cast<uint64_t>(inputs)};
    if (!flat) shape.insert(shape.begin(), static_cast<uint64_t>(piece.outputs));
    if (tensor.entry.shape != shape) {
      return Wrong(piece.name, ShapeText(shape), ShapeText(tensor.entry.shape));
    }
    CHORUS_ASSIGN_OR_RETURN(const DType dtype, TypeOf(tensor.entry));
    const auto row_bytes = static_cast<size_t>(inputs * kernels::ByteSize(dtype));
    const size_t rows_a_slice = std::max<size_t>(1, kSliceBytes / row_bytes);
    std::vector<std::byte> bytes;
    std::vector<float> values(static_cast<size_t>(inputs));
    AddToHash(absl::StrCat(piece.name, "\n", tensor.entry.dtype, "\n",
                           absl::StrJoin(tensor.entry.shape, "x"), "\n"));
    const auto outputs = static_cast<size_t>(piece.outputs);
    for (size_t done = 0; done < outputs; done += rows_a_slice) {
      const size_t rows = std::min(rows_a_slice, outputs - done);
      bytes.resize(rows * row_bytes);
      CHORUS_RETURN_IF_ERROR(tensor.file->Read(tensor.entry.offset + done * row_bytes, bytes));
      CHORUS_CHECK(EVP_DigestUpdate(hash_.get(), bytes.data(), bytes.size()) == 1);
      for (size_t i = 0; i < rows; ++i) {
        ToFloats(bytes.data() + i * row_bytes, dtype, values);
        row(values.data());
      }
    }
    return absl::OkStatus();
  }

  void AddToHash(const std::string& text) {
    CHORUS_CHECK(EVP_DigestUpdate(hash_.get(), text.data(), text.size()) == 1);
  }

  std::map<std::string, Checkpoint::Tensor>& tensors_;
  const ModelConfig& config_;
  const DType dtype_;
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash_;
};

absl::StatusOr<Weights> Weights::Load(const std::string& model_dir, const ModelConfig& config,
                                      DType dtype, Shard shard) {
  if (shard.num_ranks != 1) {
    return Wrong("num_ranks", "1", absl::StrCat(shard.num_ranks));
  }
  CHORUS_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(model_dir));
  return WeightsLoader(&checkpoint, config, dtype).Load();
}

int64_t Weights::bytes() const {
  const auto vector_bytes = [](std::initializer_list<const std::vector<float>*> vectors) {
    int64_t bytes = 0;
    for (const std::vector<float>* vector : vectors) {
      bytes += static_cast<int64_t>(vector->size() * sizeof(float));
    }
    return bytes;
  };
  int64_t bytes = lm_head_.bytes() + vector_bytes({&final_norm_});
  if (embedding_.has_value()) bytes += embedding_->bytes();
  for (const LayerWeights& layer : layers_) {
    bytes += layer.qkv.bytes() + layer.o.bytes() + layer.gate_up.bytes() + layer.down.bytes();
    bytes += vector_bytes({&layer.input_norm, &layer.qkv_bias, &layer.q_norm, &layer.k_norm,
                           &layer.o_bias, &layer.post_attention_norm, &layer.gate_up_bias,
                           &layer.down_bias});
  }
  return bytes;
}

}  // namespace chorus::engine
