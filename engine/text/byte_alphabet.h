// The printable alphabet of byte-level BPE (GPT-2): one character for each byte. Any thread.
#ifndef CHORUS_ENGINE_TEXT_BYTE_ALPHABET_H_
#define CHORUS_ENGINE_TEXT_BYTE_ALPHABET_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace chorus::engine {

char32_t CharacterOfByte(uint8_t byte);
std::optional<uint8_t> ByteOfCharacter(char32_t character);

// The bytes that `token` spells; nullopt when a character is not of the alphabet.
// REQUIRES: valid UTF-8.
std::optional<std::string> SpelledBytes(std::string_view token);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_BYTE_ALPHABET_H_
