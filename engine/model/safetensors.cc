#include "engine/model/safetensors.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/json/strict_json.h"
#include "kernels/checked.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::CheckedMul;

constexpr size_t kMaxNameBytes = 512;
constexpr size_t kMaxDimensions = 8;
constexpr uint64_t kMaxDimension = uint64_t{1} << 31;
constexpr size_t kMaxMetadata = 256;
constexpr size_t kMaxMetadataBytes = 4096;
constexpr int kMaxDepth = 3;  // file, tensor, shape
constexpr uint64_t kLengthBytes = 8;

// Bits of one element; nullopt for a type that the format does not know.
std::optional<uint64_t> ElementBits(std::string_view dtype) {
  constexpr std::pair<std::string_view, uint64_t> kBits[] = {
      {"F32", 32},    {"BF16", 16},   {"F16", 16},        {"F64", 64},        {"I64", 64},
      {"U64", 64},    {"I32", 32},    {"U32", 32},        {"I16", 16},        {"U16", 16},
      {"I8", 8},      {"U8", 8},      {"BOOL", 8},        {"C64", 64},        {"F8_E5M2", 8},
      {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6},
      {"F6_E3M2", 6}, {"F4", 4}};
  for (const auto& [name, bits] : kBits) {
    if (name == dtype) return bits;
  }
  return std::nullopt;
}

class HeaderReader {
 public:
  HeaderReader(const ByteSource& file, const std::string& what, const SafetensorsLimits& limits)
      : file_(file), what_(what), limits_(limits) {}

  absl::StatusOr<std::vector<SafetensorsEntry>> Read();

 private:
  absl::Status Refused(std::string object, std::string expected, std::string got) const {
    return Refuse(limits_.reason, std::move(object), std::move(expected), std::move(got));
  }
  absl::StatusOr<std::string> ReadText() const;
  absl::Status CheckMetadata(const JsonValue& metadata) const;
  absl::StatusOr<SafetensorsEntry> ReadEntry(std::string_view name, const JsonValue& value) const;
  absl::StatusOr<std::vector<uint64_t>> ReadNumbers(const JsonValue& list, size_t most,
                                                    uint64_t limit) const;
  absl::StatusOr<uint64_t> ShapeBytes(const JsonValue& value, const SafetensorsEntry& entry) const;
  absl::Status CheckTiling(const std::vector<SafetensorsEntry>& entries) const;

  const ByteSource& file_;
  const std::string& what_;
  const SafetensorsLimits& limits_;
  uint64_t data_begin_ = 0;
};

absl::StatusOr<std::string> HeaderReader::ReadText() const {
  const std::string object = absl::StrCat(what_, ": header");
  if (file_.size() < kLengthBytes + 2) {
    return Refused(what_, "a safetensors file", absl::StrCat(file_.size(), " bytes"));
  }
  unsigned char prefix[kLengthBytes];
  CHORUS_RETURN_IF_ERROR(file_.Read(0, std::as_writable_bytes(std::span(prefix))));
  uint64_t length = 0;
  for (int i = kLengthBytes - 1; i >= 0; --i) length = length << 8 | prefix[i];
  if (length > limits_.max_header_bytes) {
    return Refused(object, absl::StrCat("at most ", limits_.max_header_bytes, " bytes"),
                   absl::StrCat(length));
  }
  if (length > file_.size() - kLengthBytes) {  // never 8 + length, which could overflow
    return Refused(object,
                   absl::StrCat("at most the ", file_.size() - kLengthBytes, " bytes that follow"),
                   absl::StrCat(length));
  }
  std::string text(length, '\0');
  CHORUS_RETURN_IF_ERROR(file_.Read(kLengthBytes, std::as_writable_bytes(std::span(text))));
  const size_t last = text.find_last_not_of(' ');
  if (last == std::string::npos || text[0] != '{' || text[last] != '}') {
    return Refused(object, "{ … } and spaces", Quoted(text));
  }
  return text;
}

absl::Status HeaderReader::CheckMetadata(const JsonValue& metadata) const {
  if (!metadata.is_object() || metadata.json().size() > kMaxMetadata) {
    return Refused(metadata.place(),
                   absl::StrCat("an object of at most ", kMaxMetadata, " strings"),
                   metadata.Shown());
  }
  for (const auto& [key, value] : metadata.Members()) {
    CHORUS_RETURN_IF_ERROR(value.String(kMaxMetadataBytes).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint64_t>> HeaderReader::ReadNumbers(const JsonValue& list, size_t most,
                                                                uint64_t limit) const {
  if (!list.is_array() || list.json().size() > most) {
    return Refused(list.place(), absl::StrCat("an array of at most ", most, " numbers"),
                   list.Shown());
  }
  std::vector<uint64_t> numbers;
  for (const JsonValue& element : list.Elements()) {
    CHORUS_ASSIGN_OR_RETURN(const uint64_t number, element.Unsigned(limit));
    numbers.push_back(number);
  }
  return numbers;
}

// Bytes that shape and type call for. A dimension of zero does not excuse an overflow before it.
absl::StatusOr<uint64_t> HeaderReader::ShapeBytes(const JsonValue& value,
                                                  const SafetensorsEntry& entry) const {
  const std::optional<uint64_t> bits = ElementBits(entry.dtype);
  if (!bits.has_value()) {
    return Refused(value["dtype"].place(), "a type of the format", Quoted(entry.dtype));
  }
  uint64_t total = *bits;
  for (uint64_t dimension : entry.shape) {
    const std::optional<uint64_t> product = CheckedMul(total, dimension);
    if (!product.has_value()) {
      return Refused(value["shape"].place(), "a size below 2^64 bits", ShapeText(entry.shape));
    }
    total = *product;
  }
  if (total % 8 != 0) {
    return Refused(value["shape"].place(), "a whole number of bytes", ShapeText(entry.shape));
  }
  return total / 8;
}

absl::StatusOr<SafetensorsEntry> HeaderReader::ReadEntry(std::string_view name,
                                                         const JsonValue& value) const {
  const bool printable =
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (name.empty() || name.size() > kMaxNameBytes || !printable) {
    return Refused(what_,
                   absl::StrCat("names of 1 to ", kMaxNameBytes, " printable ASCII characters"),
                   Quoted(name));
  }
  if (!value.is_object() || value.json().size() != 3) {
    return Refused(value.place(), "an object of dtype, shape and data_offsets", value.Shown());
  }
  const uint64_t data_bytes = file_.size() - data_begin_;
  SafetensorsEntry entry;
  entry.name = name;
  CHORUS_ASSIGN_OR_RETURN(entry.dtype, value["dtype"].String());
  CHORUS_ASSIGN_OR_RETURN(entry.shape, ReadNumbers(value["shape"], kMaxDimensions, kMaxDimension));
  CHORUS_ASSIGN_OR_RETURN(entry.bytes, ShapeBytes(value, entry));
  CHORUS_ASSIGN_OR_RETURN(const std::vector<uint64_t> offsets,
                          ReadNumbers(value["data_offsets"], 2, data_bytes));
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] - offsets[0] != entry.bytes) {
    return Refused(value["data_offsets"].place(),
                   absl::StrCat("a range of ", entry.bytes, " bytes for ", entry.dtype, " ",
                                ShapeText(entry.shape)),
                   ShapeText(offsets));
  }
  entry.offset = data_begin_ + offsets[0];
  return entry;
}

absl::Status HeaderReader::CheckTiling(const std::vector<SafetensorsEntry>& entries) const {
  uint64_t end = data_begin_;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.offset != end) {
      return Refused(
          absl::StrCat(what_, ": ", entry.name),
          absl::StrCat("data from byte ", end - data_begin_, ", where the tensor before it ends"),
          absl::StrCat("from byte ", entry.offset - data_begin_));
    }
    end += entry.bytes;
  }
  if (end != file_.size()) {
    return Refused(what_, absl::StrCat("an end after ", end, " bytes, with the last tensor"),
                   absl::StrCat(file_.size(), " bytes"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SafetensorsEntry>> HeaderReader::Read() {
  CHORUS_ASSIGN_OR_RETURN(const std::string text, ReadText());
  data_begin_ = kLengthBytes + text.size();
  const JsonLimits json_limits = {
      .max_bytes = static_cast<size_t>(limits_.max_header_bytes),
      .max_depth = kMaxDepth,
      .max_values = (limits_.max_tensors + 1) * (6 + kMaxDimensions) + kMaxMetadata,
      .reason = limits_.reason};
  CHORUS_ASSIGN_OR_RETURN(const Json header,
                          ParseStrictJson(text, absl::StrCat(what_, ": header"), json_limits));
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, value] : JsonValue(&header, what_, limits_.reason).Members()) {
    if (name == "__metadata__") {
      CHORUS_RETURN_IF_ERROR(CheckMetadata(value));
      continue;
    }
    if (entries.size() == limits_.max_tensors) {
      return Refused(what_, absl::StrCat("at most ", limits_.max_tensors, " tensors"), "more");
    }
    CHORUS_ASSIGN_OR_RETURN(SafetensorsEntry entry, ReadEntry(name, value));
    entries.push_back(std::move(entry));
  }
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  CHORUS_RETURN_IF_ERROR(CheckTiling(entries));
  return entries;
}

}  // namespace

absl::StatusOr<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(
    const ByteSource& file, const std::string& what, const SafetensorsLimits& limits) {
  return HeaderReader(file, what, limits).Read();
}

std::string ShapeText(const std::vector<uint64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

}  // namespace chorus::engine
