#include "engine/text/byte_alphabet.h"

#include <array>

#include "engine/text/utf8.h"

namespace chorus::engine {
namespace {

// Printable Latin-1 stands for itself; the other bytes follow from U+0100 on, in order.
constexpr bool IsPrintable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<char16_t, 256> kCharacters = [] {
  std::array<char16_t, 256> characters{};
  char16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    characters[byte] = IsPrintable(byte) ? static_cast<char16_t>(byte) : next++;
  }
  return characters;
}();

constexpr std::array<int16_t, 0x200> kBytes = [] {
  std::array<int16_t, 0x200> bytes{};
  bytes.fill(-1);
  for (int byte = 0; byte < 256; ++byte) bytes[kCharacters[byte]] = static_cast<int16_t>(byte);
  return bytes;
}();

}  // namespace

char32_t CharacterOfByte(uint8_t byte) { return kCharacters[byte]; }

std::optional<uint8_t> ByteOfCharacter(char32_t character) {
  if (character >= kBytes.size() || kBytes[character] < 0) return std::nullopt;
  return static_cast<uint8_t>(kBytes[character]);
}

std::optional<std::string> SpelledBytes(std::string_view token) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const std::optional<uint8_t> byte = ByteOfCharacter(DecodeUtf8(token, &at));
    if (!byte.has_value()) return std::nullopt;
    bytes.push_back(static_cast<char>(*byte));
  }
  return bytes;
}

}  // namespace chorus::engine
