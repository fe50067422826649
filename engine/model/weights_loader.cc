#include "engine/model/weights_loader.h"

#include <openssl/sha.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/model/checkpoint.h"
#include "engine/model/rope.h"
#include "engine/model/tensor_reader.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr char kEmbedding[] = "model.embed_tokens.weight";
constexpr char kLmHead[] = "lm_head.weight";
constexpr unsigned kMaxThreads = 8;

// A tensor and where it goes: elements of a parameter from `first` on.
struct Part {
  std::string name;
  std::vector<uint64_t> shape;
  std::optional<WeightPlace> place = std::nullopt;  // none: only its hash is wanted
  int64_t first = 0;
  const CheckpointTensor* tensor = nullptr;
  absl::StatusOr<TensorHash> hash = TensorHash{};  // or why it could not be read

  int64_t cols() const { return static_cast<int64_t>(shape.back()); }
};

absl::Status Refused(std::string object, std::string expected, std::string got) {
  return Refuse(Reason::kModelUnsupported, std::move(object), std::move(expected), std::move(got));
}

// Buffers of old transformers versions; RoPE is computed from the config.
bool IsIgnorable(const std::string& name) { return absl::EndsWith(name, ".rotary_emb.inv_freq"); }

// Everything of the config that the weights do not show and the results depend on.
std::string ConfigFacts(const ModelConfig& config) {
  const RopeFrequencies rope = ComputeRope(config.rope, config.head_dim);
  std::string facts =
      absl::StrCat("architecture ", static_cast<int>(config.architecture), "\nheads ", config.heads,
                   " ", config.kv_heads, " ", config.head_dim, "\neps ",
                   absl::Hex(std::bit_cast<uint32_t>(config.rms_norm_eps)), "\ntied ",
                   static_cast<int>(config.tied_embeddings), "\nrope ",
                   absl::Hex(std::bit_cast<uint32_t>(rope.attention_scaling)));
  for (const float frequency : rope.inv_freq) {
    absl::StrAppend(&facts, " ", absl::Hex(std::bit_cast<uint32_t>(frequency)));
  }
  return facts + "\n";
}

std::string HexDigits(const TensorHash& hash) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(hash.data()), hash.size()));
}

// Plans where each tensor goes, checks the checkpoint against the plan, then reads.
class WeightsLoader {
 public:
  WeightsLoader(const Checkpoint& checkpoint, const ModelConfig& config, WeightsSink* sink)
      : checkpoint_(checkpoint), config_(config), sink_(*sink) {}

  absl::StatusOr<std::string> Load() {
    CHORUS_RETURN_IF_ERROR(PlanAll());
    CHORUS_RETURN_IF_ERROR(CheckAllUsed());
    CHORUS_RETURN_IF_ERROR(sink_.Allocate());
    ReadAll();
    for (const Part& part : parts_) CHORUS_RETURN_IF_ERROR(part.hash.status());
    CHORUS_RETURN_IF_ERROR(CheckTiedCopy());
    return Digest();
  }

 private:
  struct Piece {
    std::string name;
    int64_t outputs;
  };

  absl::Status PlanAll() {
    const int64_t vocabulary = config_.vocabulary;
    const int64_t hidden = config_.hidden;
    if (config_.tied_embeddings) {
      // transformers ties to whichever of the two is there.
      const bool only_head =
          checkpoint_.Find(kEmbedding) == nullptr && checkpoint_.Find(kLmHead) != nullptr;
      CHORUS_RETURN_IF_ERROR(AddMatrix({{only_head ? kLmHead : kEmbedding, vocabulary}}, hidden,
                                       {WeightRole::kLmHead}));
    } else {
      CHORUS_RETURN_IF_ERROR(
          AddMatrix({{kEmbedding, vocabulary}}, hidden, {WeightRole::kEmbedding}));
      CHORUS_RETURN_IF_ERROR(AddMatrix({{kLmHead, vocabulary}}, hidden, {WeightRole::kLmHead}));
    }
    const auto layers = static_cast<size_t>(config_.layers);
    if (layers > checkpoint_.tensors().size()) {
      return Refused("num_hidden_layers",
                     absl::StrCat("at most the ", checkpoint_.tensors().size(), " tensors"),
                     absl::StrCat(layers));
    }
    for (int32_t layer = 0; layer < config_.layers; ++layer) {
      CHORUS_RETURN_IF_ERROR(PlanLayer(layer));
    }
    CHORUS_RETURN_IF_ERROR(AddVector({{"model.norm.weight", hidden}}, {WeightRole::kFinalNorm}));
    if (config_.tied_embeddings && checkpoint_.Find(kEmbedding) != nullptr &&
        checkpoint_.Find(kLmHead) != nullptr) {
      return AddPart({.name = kLmHead, .shape = parts_.front().shape});
    }
    return absl::OkStatus();
  }

  absl::Status PlanLayer(int32_t layer) {
    using kernels::LoraModule;
    const std::string prefix = absl::StrCat("model.layers.", layer, ".");
    const auto pieces = [&](std::initializer_list<LoraModule> modules, const char* part) {
      std::vector<Piece> result;
      for (const LoraModule module : modules) {
        result.push_back({absl::StrCat(prefix, kLinearNames[module], ".", part),
                          config_.linear(module).outputs});
      }
      return result;
    };
    const auto linear = [&](std::initializer_list<LoraModule> modules, bool has_bias,
                            WeightRole matrix, WeightRole bias) -> absl::Status {
      if (has_bias) CHORUS_RETURN_IF_ERROR(AddVector(pieces(modules, "bias"), {bias, layer}));
      return AddMatrix(pieces(modules, "weight"), config_.linear(*modules.begin()).inputs,
                       {matrix, layer});
    };
    const auto norm = [&](const char* name, int64_t width, WeightRole role) {
      return AddVector({{absl::StrCat(prefix, name, ".weight"), width}}, {role, layer});
    };
    CHORUS_RETURN_IF_ERROR(norm("input_layernorm", config_.hidden, WeightRole::kInputNorm));
    CHORUS_RETURN_IF_ERROR(
        norm("post_attention_layernorm", config_.hidden, WeightRole::kPostAttentionNorm));
    if (config_.qk_norm) {
      CHORUS_RETURN_IF_ERROR(norm("self_attn.q_norm", config_.head_dim, WeightRole::kQNorm));
      CHORUS_RETURN_IF_ERROR(norm("self_attn.k_norm", config_.head_dim, WeightRole::kKNorm));
    }
    CHORUS_RETURN_IF_ERROR(linear({kernels::kQ, kernels::kK, kernels::kV}, config_.qkv_bias,
                                  WeightRole::kQkv, WeightRole::kQkvBias));
    CHORUS_RETURN_IF_ERROR(
        linear({kernels::kO}, config_.o_bias, WeightRole::kO, WeightRole::kOBias));
    CHORUS_RETURN_IF_ERROR(linear({kernels::kGate, kernels::kUp}, config_.mlp_bias,
                                  WeightRole::kGateUp, WeightRole::kGateUpBias));
    return linear({kernels::kDown}, config_.mlp_bias, WeightRole::kDown, WeightRole::kDownBias);
  }

  absl::Status AddPart(Part part) {
    part.tensor = checkpoint_.Find(part.name);
    if (part.tensor == nullptr) return Refused(part.name, "a tensor", "nothing");
    if (part.tensor->entry.shape != part.shape) {
      return Refused(part.name, ShapeText(part.shape), ShapeText(part.tensor->entry.shape));
    }
    parts_.push_back(std::move(part));
    return absl::OkStatus();
  }

  // Pieces one under the other, as one matrix.
  absl::Status AddMatrix(const std::vector<Piece>& pieces, int64_t inputs,
                         const WeightPlace& place) {
    int64_t outputs = 0;
    for (const Piece& piece : pieces) {
      CHORUS_RETURN_IF_ERROR(
          AddPart({.name = piece.name,
                   .shape = {static_cast<uint64_t>(piece.outputs), static_cast<uint64_t>(inputs)},
                   .place = place,
                   .first = outputs * inputs}));
      outputs += piece.outputs;
    }
    return sink_.Add(place, outputs, inputs);
  }

  absl::Status AddVector(const std::vector<Piece>& pieces, const WeightPlace& place) {
    int64_t elements = 0;
    for (const Piece& piece : pieces) {
      CHORUS_RETURN_IF_ERROR(AddPart({.name = piece.name,
                                      .shape = {static_cast<uint64_t>(piece.outputs)},
                                      .place = place,
                                      .first = elements}));
      elements += piece.outputs;
    }
    return sink_.Add(place, 1, elements);
  }

  // Nothing is left over: a tensor that is not used would be a model that is not served as it is.
  absl::Status CheckAllUsed() {
    std::set<std::string> used;
    for (const Part& part : parts_) used.insert(part.name);
    for (const auto& [name, tensor] : checkpoint_.tensors()) {
      if (used.contains(name) || IsIgnorable(name)) continue;
      return Refused(name, "a tensor that this architecture has", "one that nothing would use");
    }
    return absl::OkStatus();
  }

  // Hashing and packing cost more than reading, so a few threads take tensors in turns.
  void ReadAll() {
    std::atomic<size_t> next = 0;
    const auto read = [&] {
      TensorReader reader;
      for (size_t i = next++; i < parts_.size(); i = next++) Read(&reader, &parts_[i]);
    };
    std::vector<std::thread> threads;
    const unsigned processors = std::thread::hardware_concurrency();
    for (unsigned i = 1; i < std::min(processors, kMaxThreads); ++i) threads.emplace_back(read);
    read();
    for (std::thread& thread : threads) thread.join();
  }

  void Read(TensorReader* reader, Part* part) {
    int64_t first = part->first;
    absl::Status kept;
    part->hash = reader->ReadRows(*part->tensor, part->cols(), [&](const float* values) {
      if (!part->place.has_value() || !kept.ok()) return;
      kept = sink_.Set(*part->place, first, {values, static_cast<size_t>(part->cols())});
      first += part->cols();
    });
    if (part->hash.ok() && !kept.ok()) {
      part->hash = absl::Status(kept.code(), absl::StrCat(part->name, ": ", kept.message()));
    }
  }

  // transformers does not tie what the checkpoint has twice and differently.
  absl::Status CheckTiedCopy() {
    Part& copy = parts_.back();
    if (copy.place.has_value()) return absl::OkStatus();
    if (*copy.hash != *parts_.front().hash) {
      return Refused(copy.name, absl::StrCat("the same as ", kEmbedding, " (tie_word_embeddings)"),
                     "other values");
    }
    parts_.pop_back();  // a copy more or less is the same model
    return absl::OkStatus();
  }

  std::string Digest() const {
    std::map<std::string, std::string> lines;
    for (const Part& part : parts_) {
      lines[part.name] = absl::StrCat(part.name, " ", part.tensor->entry.dtype, " ",
                                      ShapeText(part.shape), " ", HexDigits(*part.hash), "\n");
    }
    std::string text = ConfigFacts(config_);
    for (const auto& [name, line] : lines) text += line;
    TensorHash hash;
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
    return HexDigits(hash);
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  WeightsSink& sink_;
  std::vector<Part> parts_;  // the embedding table first
};

}  // namespace

absl::StatusOr<std::string> LoadWeights(const std::string& model_dir, const ModelConfig& config,
                                        Shard shard, WeightsSink* sink) {
  if (shard.num_ranks != 1 || shard.rank != 0) {
    return Refused("num_ranks", "1", absl::StrCat("rank ", shard.rank, " of ", shard.num_ranks));
  }
  CHORUS_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(model_dir));
  return WeightsLoader(checkpoint, config, sink).Load();
}

}  // namespace chorus::engine
