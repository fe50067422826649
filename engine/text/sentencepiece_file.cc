#include "engine/text/sentencepiece_file.h"

#include <cmath>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "engine/text/str_cat.h"
#include "engine/text/utf8.h"
#include "engine/text/wire_reader.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using Field = WireReader::Field;
using Kind = SentencePieceFile::Kind;

constexpr size_t kMaxPieces = size_t{1} << 24;
constexpr size_t kMaxPieceBytes = 4096;

absl::Status Invalid(std::string_view what) { return absl::InvalidArgumentError(StrCat(what)); }

absl::Status Unsupported(std::string_view what) {
  return Invalid(StrCat(what, " is not supported"));
}

// Calls `take` with each field of the message.
template <class Take>
absl::Status ForEachField(std::string_view bytes, std::string_view name, Take take) {
  WireReader reader(bytes, name);
  for (;;) {
    CHORUS_ASSIGN_OR_RETURN(const std::optional<Field> field, reader.Next());
    if (!field.has_value()) return absl::OkStatus();
    CHORUS_RETURN_IF_ERROR(take(*field));
  }
}

absl::Status SetFlag(const Field& field, std::string_view what, bool* flag) {
  CHORUS_ASSIGN_OR_RETURN(const uint64_t value, VarintOf(field, what));
  *flag = value != 0;
  return absl::OkStatus();
}

absl::Status SetText(const Field& field, std::string_view what, std::string* text) {
  CHORUS_ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(field, what));
  CHORUS_RETURN_IF_ERROR(CheckUtf8(bytes, what));
  *text = bytes;
  return absl::OkStatus();
}

absl::StatusOr<SentencePieceFile::Piece> ReadPiece(std::string_view bytes,
                                                   const std::string& name) {
  SentencePieceFile::Piece piece;
  CHORUS_RETURN_IF_ERROR(ForEachField(bytes, name, [&](const Field& field) -> absl::Status {
    if (field.number == 1) return SetText(field, name, &piece.text);
    if (field.number == 2) {
      CHORUS_ASSIGN_OR_RETURN(piece.score, FloatOf(field, StrCat(name, " score")));
    } else if (field.number == 3) {
      CHORUS_ASSIGN_OR_RETURN(const uint64_t kind, VarintOf(field, StrCat(name, " type")));
      if (kind < 1 || kind > 6) return Invalid(StrCat(name, ": type is ", kind, ", want 1 to 6"));
      piece.kind = static_cast<Kind>(kind);
    }
    return absl::OkStatus();
  }));
  if (piece.text.empty() || piece.text.size() > kMaxPieceBytes) {
    return Invalid(
        StrCat(name, ": ", piece.text.size(), " bytes of text, want 1 to ", kMaxPieceBytes));
  }
  if (piece.text.find('\0') != std::string::npos) return Invalid(StrCat(name, ": has a NUL"));
  if (!std::isfinite(piece.score)) return Invalid(StrCat(name, ": the score is not finite"));
  return piece;
}

class FileReader {
 public:
  absl::StatusOr<SentencePieceFile> Run(std::string_view bytes) {
    CHORUS_RETURN_IF_ERROR(
        ForEachField(bytes, "ModelProto", [&](const Field& field) { return TopField(field); }));
    // A file that was cut off between two of its parts would be taken for one with defaults.
    if (!has_trainer_) return Invalid("trainer_spec: is missing");
    if (!has_normalizer_) return Invalid("normalizer_spec: is missing");
    if (model_type_ != 2) {
      return Unsupported(StrCat("trainer_spec: model_type ", model_type_, " (2 is BPE)"));
    }
    CHORUS_RETURN_IF_ERROR(CheckPieces());
    return std::move(file_);
  }

 private:
  absl::Status TopField(const Field& field) {
    switch (field.number) {
      case 1: {
        const std::string name = StrCat("piece ", file_.pieces.size());
        if (file_.pieces.size() == kMaxPieces) return Invalid("more than 2^24 pieces");
        CHORUS_ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(field, name));
        CHORUS_ASSIGN_OR_RETURN(SentencePieceFile::Piece piece, ReadPiece(bytes, name));
        file_.pieces.push_back(std::move(piece));
        return absl::OkStatus();
      }
      case 2: {
        has_trainer_ = true;
        CHORUS_ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(field, "trainer_spec"));
        return ForEachField(bytes, "trainer_spec",
                            [&](const Field& inner) { return TrainerField(inner); });
      }
      case 3: {
        has_normalizer_ = true;
        CHORUS_ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(field, "normalizer_spec"));
        return ForEachField(bytes, "normalizer_spec",
                            [&](const Field& inner) { return NormalizerField(inner); });
      }
      case 5: {
        CHORUS_ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(field, "denormalizer_spec"));
        return ForEachField(bytes, "denormalizer_spec", [](const Field& inner) {
          const bool maps = inner.number == 2 && !inner.bytes.empty();
          return maps ? Unsupported("denormalizer_spec: precompiled_charsmap") : absl::OkStatus();
        });
      }
      default:  // its own test data, extensions
        return absl::OkStatus();
    }
  }

  absl::Status TrainerField(const Field& field) {
    bool flag = false;
    switch (field.number) {
      case 3: {
        CHORUS_ASSIGN_OR_RETURN(model_type_, VarintOf(field, "trainer_spec: model_type"));
        return absl::OkStatus();
      }
      case 24:
        CHORUS_RETURN_IF_ERROR(SetFlag(field, "trainer_spec: treat_whitespace_as_suffix", &flag));
        return flag ? Unsupported("trainer_spec: treat_whitespace_as_suffix") : absl::OkStatus();
      case 35:
        return SetFlag(field, "trainer_spec: byte_fallback", &byte_fallback_);
      case 44:
        return SetText(field, "trainer_spec: unk_surface", &file_.unknown_surface);
      case 46:
        return SetText(field, "trainer_spec: bos_piece", &file_.bos);
      case 47:
        return SetText(field, "trainer_spec: eos_piece", &file_.eos);
      default:
        return absl::OkStatus();
    }
  }

  absl::Status NormalizerField(const Field& field) {
    bool flag = false;
    switch (field.number) {
      case 2: {
        CHORUS_ASSIGN_OR_RETURN(const std::string_view bytes,
                                BytesOf(field, "normalizer_spec: precompiled_charsmap"));
        file_.precompiled_charsmap = bytes;
        return absl::OkStatus();
      }
      case 3:
        return SetFlag(field, "normalizer_spec: add_dummy_prefix", &file_.add_dummy_prefix);
      case 4:
        return SetFlag(field, "normalizer_spec: remove_extra_whitespaces",
                       &file_.remove_extra_whitespaces);
      case 5:
        CHORUS_RETURN_IF_ERROR(SetFlag(field, "normalizer_spec: escape_whitespaces", &flag));
        return flag ? absl::OkStatus() : Unsupported("normalizer_spec: escape_whitespaces false");
      default:
        return absl::OkStatus();
    }
  }

  absl::Status CheckPieces() {
    if (byte_fallback_) file_.byte_ids.assign(256, -1);
    // The library keeps plain pieces and the others apart, each without duplicates.
    absl::flat_hash_set<std::string_view> plain, reserved;
    for (size_t id = 0; id < file_.pieces.size(); ++id) {
      const SentencePieceFile::Piece& piece = file_.pieces[id];
      const bool is_plain = piece.kind == Kind::kNormal || piece.kind == Kind::kUserDefined ||
                            piece.kind == Kind::kUnused;
      if (!(is_plain ? plain : reserved).insert(piece.text).second) {
        return Invalid(StrCat("piece ", id, ": \"", piece.text, "\" is there already"));
      }
      if (piece.kind == Kind::kUnknown) {
        if (file_.unknown_id >= 0) return Invalid(StrCat("piece ", id, ": a second unknown piece"));
        file_.unknown_id = static_cast<int32_t>(id);
      }
      if (piece.kind == Kind::kByte) CHORUS_RETURN_IF_ERROR(NoteByte(id));
    }
    if (file_.unknown_id < 0) return Invalid("no piece is of the unknown kind");
    for (size_t byte = 0; byte < file_.byte_ids.size(); ++byte) {
      if (file_.byte_ids[byte] < 0) {
        return Invalid(absl::StrFormat("byte_fallback without the piece <0x%02X>", byte));
      }
    }
    return absl::OkStatus();
  }

  absl::Status NoteByte(size_t id) {
    const std::string& text = file_.pieces[id].text;
    for (size_t byte = 0; byte < file_.byte_ids.size(); ++byte) {
      if (text != absl::StrFormat("<0x%02X>", byte)) continue;
      file_.byte_ids[byte] = static_cast<int32_t>(id);
      return absl::OkStatus();
    }
    return Invalid(StrCat("piece ", id, ": \"", text, "\" is of the byte kind",
                          byte_fallback_ ? ", want <0xNN>" : ", but byte_fallback is off"));
  }

  SentencePieceFile file_;
  uint64_t model_type_ = 1;  // SentencePiece's default, UNIGRAM
  bool byte_fallback_ = false;
  bool has_trainer_ = false, has_normalizer_ = false;
};

}  // namespace

absl::StatusOr<SentencePieceFile> SentencePieceFile::Parse(std::string_view bytes) {
  return FileReader().Run(bytes);
}

}  // namespace chorus::engine
