// Writes messages in the wire format of Protocol Buffers, right or wrong.
#ifndef CHORUS_TESTS_ENGINE_TEXT_PROTO_WRITER_H_
#define CHORUS_TESTS_ENGINE_TEXT_PROTO_WRITER_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace chorus::test {

class ProtoWriter {
 public:
  ProtoWriter& Varint(uint32_t number, uint64_t value) {
    Raw(uint64_t{number} << 3);
    Raw(value);
    return *this;
  }
  ProtoWriter& Bytes(uint32_t number, std::string_view bytes) {
    Raw(uint64_t{number} << 3 | 2);
    Raw(bytes.size());
    bytes_.append(bytes);
    return *this;
  }
  ProtoWriter& Float(uint32_t number, float value) {
    Raw(uint64_t{number} << 3 | 5);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void Raw(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }

  std::string bytes_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_ENGINE_TEXT_PROTO_WRITER_H_
