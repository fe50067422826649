// Reads the fields of a message in the wire format of Protocol Buffers, one after the other. For
// files whose own library cannot be linked: see sentencepiece_file.h. Borrows the bytes; one
// thread.
#ifndef CHORUS_ENGINE_TEXT_WIRE_READER_H_
#define CHORUS_ENGINE_TEXT_WIRE_READER_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"

namespace chorus::engine {

class WireReader {
 public:
  struct Field {
    enum class Kind { kVarint, kFixed64, kBytes, kFixed32 };
    uint32_t number;
    Kind kind;
    uint64_t value;          // not of kBytes
    std::string_view bytes;  // of kBytes
  };

  // `name` is what errors call the message.
  WireReader(std::string_view bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  // The next field; nullopt at the end. InvalidArgument with the offset where the bytes are none.
  absl::StatusOr<std::optional<Field>> Next();

 private:
  absl::Status Error(std::string_view what) const;
  absl::StatusOr<uint64_t> Varint();
  absl::StatusOr<uint64_t> Fixed(size_t size);

  const std::string_view bytes_;
  const std::string_view name_;
  size_t at_ = 0;
};

// The field's value. InvalidArgument, naming `what`, when it is of another kind.
absl::StatusOr<uint64_t> VarintOf(const WireReader::Field& field, std::string_view what);
absl::StatusOr<std::string_view> BytesOf(const WireReader::Field& field, std::string_view what);
absl::StatusOr<float> FloatOf(const WireReader::Field& field, std::string_view what);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_WIRE_READER_H_
