#include "engine/text/wire_reader.h"

#include <bit>

#include "engine/text/str_cat.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

absl::Status WrongKind(std::string_view what) {
  return absl::InvalidArgumentError(StrCat(what, ": of another wire type than it should be"));
}

}  // namespace

absl::Status WireReader::Error(std::string_view what) const {
  return absl::InvalidArgumentError(StrCat(name_, ": ", what, " at byte ", at_));
}

absl::StatusOr<uint64_t> WireReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ == bytes_.size()) return Error("the message ends inside a field");
    const auto byte = static_cast<unsigned char>(bytes_[at_++]);
    value |= static_cast<uint64_t>(byte & 0x7Fu) << shift;
    if (byte < 0x80) return value;
  }
  return Error("a number longer than ten bytes");
}

absl::StatusOr<uint64_t> WireReader::Fixed(size_t size) {
  if (bytes_.size() - at_ < size) return Error("the message ends inside a field");
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) {
    value |= uint64_t{static_cast<unsigned char>(bytes_[at_ + i])} << (8 * i);
  }
  at_ += size;
  return value;
}

absl::StatusOr<std::optional<WireReader::Field>> WireReader::Next() {
  if (at_ == bytes_.size()) return std::nullopt;
  CHORUS_ASSIGN_OR_RETURN(const uint64_t tag, Varint());
  if (tag >> 3 == 0 || tag >> 32 != 0) return Error("a bad field number");
  Field field{static_cast<uint32_t>(tag >> 3), Field::Kind::kVarint, 0, {}};
  switch (tag & 7) {
    case 0: {
      CHORUS_ASSIGN_OR_RETURN(field.value, Varint());
      return field;
    }
    case 1: {
      field.kind = Field::Kind::kFixed64;
      CHORUS_ASSIGN_OR_RETURN(field.value, Fixed(8));
      return field;
    }
    case 2: {
      field.kind = Field::Kind::kBytes;
      CHORUS_ASSIGN_OR_RETURN(const uint64_t size, Varint());
      if (size > bytes_.size() - at_) return Error("a field longer than the message");
      field.bytes = bytes_.substr(at_, size);
      at_ += size;
      return field;
    }
    case 5: {
      field.kind = Field::Kind::kFixed32;
      CHORUS_ASSIGN_OR_RETURN(field.value, Fixed(4));
      return field;
    }
    default:
      return Error("an unknown wire type");
  }
}

absl::StatusOr<uint64_t> VarintOf(const WireReader::Field& field, std::string_view what) {
  if (field.kind != WireReader::Field::Kind::kVarint) return WrongKind(what);
  return field.value;
}

absl::StatusOr<std::string_view> BytesOf(const WireReader::Field& field, std::string_view what) {
  if (field.kind != WireReader::Field::Kind::kBytes) return WrongKind(what);
  return field.bytes;
}

absl::StatusOr<float> FloatOf(const WireReader::Field& field, std::string_view what) {
  if (field.kind != WireReader::Field::Kind::kFixed32) return WrongKind(what);
  return std::bit_cast<float>(static_cast<uint32_t>(field.value));
}

}  // namespace chorus::engine
