#include "engine/model/safetensors.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/json/strict_json.h"
#include "engine/refusal.h"
#include "kernels/checked.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::CheckedMul;

constexpr size_t kMaxNameBytes = 512;
constexpr size_t kMaxDimensions = 8;
constexpr uint64_t kMaxDimension = uint64_t{1} << 31;
constexpr size_t kMaxMetadata = 256;

absl::Status Refused(const std::string& object, std::string expected, std::string got) {
  return Refuse(Reason::kAdapterFileInvalid, object, std::move(expected), std::move(got));
}

// Bits of one element; nullopt for a type the format does not know.
std::optional<uint64_t> ElementBits(const std::string& dtype) {
  static const std::map<std::string, uint64_t> bits = {
      {"BOOL", 8},    {"U8", 8},          {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8},
      {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F4", 4},      {"F6_E2M3", 6},
      {"F6_E3M2", 6}, {"I16", 16},        {"U16", 16},        {"F16", 16},    {"BF16", 16},
      {"I32", 32},    {"U32", 32},        {"F32", 32},        {"C64", 64},    {"F64", 64},
      {"I64", 64},    {"U64", 64}};
  const auto found = bits.find(dtype);
  return found == bits.end() ? std::nullopt : std::optional(found->second);
}

absl::StatusOr<std::string> ReadHeaderText(const ByteSource& file, const std::string& what,
                                           const SafetensorsLimits& limits) {
  if (file.size() < 10) {
    return Refused(what, "a safetensors file", absl::StrCat(file.size(), " bytes"));
  }
  unsigned char prefix[8];
  CHORUS_RETURN_IF_ERROR(file.Read(0, std::as_writable_bytes(std::span(prefix))));
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | prefix[i];
  if (length > limits.max_header_bytes) {
    return Refused(absl::StrCat(what, ": header"),
                   absl::StrCat("at most ", limits.max_header_bytes, " bytes"),
                   absl::StrCat(length));
  }
  if (length > file.size() - 8) {  // never 8 + length, which could overflow
    return Refused(absl::StrCat(what, ": header"),
                   absl::StrCat("at most the ", file.size() - 8, " bytes that follow"),
                   absl::StrCat(length));
  }
  std::string text(length, '\0');
  CHORUS_RETURN_IF_ERROR(file.Read(8, std::as_writable_bytes(std::span(text))));
  if (text.empty() || text[0] != '{')
    return Refused(absl::StrCat(what, ": header"), "{", "another byte");
  return text;
}

absl::Status CheckMetadata(const JsonValue& metadata) {
  if (!metadata.is_object() || metadata.json().size() > kMaxMetadata) {
    return Refused(metadata.place(), "an object of at most 256 strings", metadata.Shown());
  }
  for (const auto& [key, value] : metadata.json().items()) {
    if (!value.is_string()) {
      return Refused(absl::StrCat(metadata.place(), ": ", Quoted(key)), "a string", "another type");
    }
  }
  return absl::OkStatus();
}

// Bytes that shape and type call for; every product is checked in order, zero or not.
absl::StatusOr<uint64_t> ShapeBytes(const std::string& place, const std::string& dtype,
                                    const std::vector<uint64_t>& shape) {
  const std::optional<uint64_t> bits = ElementBits(dtype);
  if (!bits.has_value()) return Refused(absl::StrCat(place, ": dtype"), "a type", Quoted(dtype));
  uint64_t total = *bits;
  for (uint64_t dimension : shape) {
    const std::optional<uint64_t> product = CheckedMul(total, dimension);
    if (!product.has_value()) {
      return Refused(absl::StrCat(place, ": shape"), "a size below 2^64 bits", ShapeText(shape));
    }
    total = *product;
  }
  if (total % 8 != 0) {
    return Refused(absl::StrCat(place, ": shape"), "a whole number of bytes", ShapeText(shape));
  }
  return total / 8;
}

absl::StatusOr<std::vector<uint64_t>> ReadUnsigned(const JsonValue& list, size_t most,
                                                   uint64_t limit) {
  const auto wrong = [&] {
    return Refused(list.place(), absl::StrCat("at most ", most, " whole numbers up to ", limit),
                   list.Shown());
  };
  if (!list.is_array() || list.json().size() > most) return wrong();
  std::vector<uint64_t> values;
  for (const Json& value : list.json()) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > limit) return wrong();
    values.push_back(value.get<uint64_t>());
  }
  return values;
}

absl::StatusOr<SafetensorsEntry> ReadEntry(const JsonValue& value, const std::string& name,
                                           uint64_t data_begin, uint64_t data_bytes) {
  const bool printable =
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (name.empty() || name.size() > kMaxNameBytes || !printable) {
    return Refused(value.place(), "a name of 1 to 512 printable ASCII characters", Quoted(name));
  }
  if (!value.is_object() || value.json().size() != 3) {
    return Refused(value.place(), "an object of dtype, shape and data_offsets", value.Shown());
  }
  SafetensorsEntry entry;
  entry.name = name;
  CHORUS_ASSIGN_OR_RETURN(entry.dtype, value["dtype"].String());
  CHORUS_ASSIGN_OR_RETURN(entry.shape, ReadUnsigned(value["shape"], kMaxDimensions, kMaxDimension));
  CHORUS_ASSIGN_OR_RETURN(const std::vector<uint64_t> offsets,
                          ReadUnsigned(value["data_offsets"], 2, data_bytes));
  CHORUS_ASSIGN_OR_RETURN(const uint64_t bytes,
                          ShapeBytes(value.place(), entry.dtype, entry.shape));
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] - offsets[0] != bytes) {
    return Refused(
        value["data_offsets"].place(),
        absl::StrCat("a range of ", bytes, " bytes for ", entry.dtype, " ", ShapeText(entry.shape)),
        value["data_offsets"].Shown());
  }
  entry.offset = data_begin + offsets[0];
  entry.bytes = bytes;
  return entry;
}

}  // namespace

absl::StatusOr<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(
    const ByteSource& file, const std::string& what, const SafetensorsLimits& limits) {
  CHORUS_ASSIGN_OR_RETURN(const std::string text, ReadHeaderText(file, what, limits));
  const uint64_t data_begin = 8 + text.size();
  const uint64_t data_bytes = file.size() - data_begin;
  JsonLimits json_limits;
  json_limits.max_bytes = limits.max_header_bytes;
  json_limits.max_depth = 4;
  json_limits.max_values = (limits.max_tensors + 1) * (8 + kMaxDimensions);
  CHORUS_ASSIGN_OR_RETURN(const Json header,
                          ParseStrictJson(text, absl::StrCat(what, ": header"), json_limits));
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, value] : header.items()) {
    const JsonValue entry(&value, absl::StrCat(what, ": ", Quoted(name)));
    if (name == "__metadata__") {
      CHORUS_RETURN_IF_ERROR(CheckMetadata(entry));
      continue;
    }
    if (entries.size() == limits.max_tensors) {
      return Refused(what, absl::StrCat("at most ", limits.max_tensors, " tensors"), "more");
    }
    CHORUS_ASSIGN_OR_RETURN(SafetensorsEntry read, ReadEntry(entry, name, data_begin, data_bytes));
    entries.push_back(std::move(read));
  }
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  uint64_t end = data_begin;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.offset != end) {
      return Refused(absl::StrCat(what, ": ", entry.name),
                     absl::StrCat("data that begins at byte ", end - data_begin,
                                  ", where the tensor before it ends"),
                     absl::StrCat("byte ", entry.offset - data_begin));
    }
    end += entry.bytes;
  }
  if (end != file.size()) {
    return Refused(what, absl::StrCat("an end at byte ", end), absl::StrCat(file.size(), " bytes"));
  }
  return entries;
}

std::string ShapeText(const std::vector<uint64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

}  // namespace chorus::engine
