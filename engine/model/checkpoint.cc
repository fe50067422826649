#include "engine/model/checkpoint.h"

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/json/strict_json.h"
#include "engine/refusal.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

absl::Status Refused(std::string object, std::string expected, std::string got) {
  return Refuse(Reason::kModelUnsupported, std::move(object), std::move(expected), std::move(got));
}

// A name inside the directory: what an index says must not lead out of it.
bool IsPlainName(const std::string& name) {
  return absl::EndsWith(name, ".safetensors") && name[0] != '.' &&
         name.find('/') == std::string::npos;
}

absl::StatusOr<std::map<std::string, std::string>> ReadIndex(const ByteSource& index) {
  const JsonLimits limits = {.max_bytes = size_t{16} << 20, .reason = Reason::kModelFileInvalid};
  if (index.size() > limits.max_bytes) {
    return Refused(kIndexFile, "at most 16 MiB", absl::StrCat(index.size(), " bytes"));
  }
  std::string text(index.size(), '\0');
  CHORUS_RETURN_IF_ERROR(index.Read(0, std::as_writable_bytes(std::span(text))));
  CHORUS_ASSIGN_OR_RETURN(const Json json, ParseStrictJson(text, kIndexFile, limits));
  const JsonValue map = JsonValue(&json, kIndexFile, limits.reason)["weight_map"];
  if (!map.is_object()) return Refused(map.place(), "an object", map.Shown());
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : map.Members()) {
    CHORUS_ASSIGN_OR_RETURN(std::string name, file.String());
    if (!IsPlainName(name)) {
      return Refused(file.place(), "the name of a .safetensors file", file.Shown());
    }
    files.emplace(tensor, std::move(name));
  }
  return files;
}

}  // namespace

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& model_dir) {
  Checkpoint checkpoint;
  const absl::Status single = checkpoint.AddFile(model_dir, kSingleFile);
  if (single.ok()) return checkpoint;
  if (!absl::IsNotFound(single)) return single;
  const absl::StatusOr<std::unique_ptr<ByteSource>> index =
      OpenFile(absl::StrCat(model_dir, "/", kIndexFile));
  if (absl::IsNotFound(index.status())) {
    return absl::NotFoundError(
        absl::StrCat(model_dir, ": expected ", kSingleFile, " or ", kIndexFile, ", got neither"));
  }
  CHORUS_RETURN_IF_ERROR(index.status());
  CHORUS_RETURN_IF_ERROR(checkpoint.AddShards(model_dir, **index));
  return checkpoint;
}

const CheckpointTensor* Checkpoint::Find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

absl::Status Checkpoint::AddFile(const std::string& model_dir, const std::string& name) {
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<ByteSource> file,
                          OpenFile(absl::StrCat(model_dir, "/", name)));
  CHORUS_ASSIGN_OR_RETURN(
      std::vector<SafetensorsEntry> entries,
      ReadSafetensorsHeader(*file, name, {.reason = Reason::kModelFileInvalid}));
  for (SafetensorsEntry& entry : entries) {
    const std::string tensor = entry.name;
    if (!tensors_.try_emplace(tensor, CheckpointTensor{file.get(), std::move(entry)}).second) {
      return Refused(absl::StrCat(name, ": ", tensor), "a tensor that no other file has", "two");
    }
  }
  files_.push_back(std::move(file));
  return absl::OkStatus();
}

absl::Status Checkpoint::AddShards(const std::string& model_dir, const ByteSource& index) {
  using Map = std::map<std::string, std::string>;
  CHORUS_ASSIGN_OR_RETURN(const Map listed, ReadIndex(index));
  std::set<std::string> names;
  for (const auto& [tensor, file] : listed) names.insert(file);
  std::map<const ByteSource*, std::string> name_of;
  for (const std::string& name : names) {
    CHORUS_RETURN_IF_ERROR(AddFile(model_dir, name));
    name_of.emplace(files_.back().get(), name);
  }
  for (const auto& [tensor, file] : listed) {
    const CheckpointTensor* const found = Find(tensor);
    if (found == nullptr || name_of[found->file] != file) {
      return Refused(absl::StrCat(kIndexFile, ": ", tensor), absl::StrCat("in ", file),
                     found == nullptr ? "nowhere" : absl::StrCat("in ", name_of[found->file]));
    }
  }
  for (const auto& [tensor, found] : tensors_) {
    if (listed.contains(tensor)) continue;
    return Refused(absl::StrCat(name_of[found.file], ": ", tensor),
                   absl::StrCat("a tensor that ", kIndexFile, " lists"), "one that it does not");
  }
  return absl::OkStatus();
}

}  // namespace chorus::engine
