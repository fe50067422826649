// Safetensors files for tests, written byte by byte so that they can also be wrong.
#ifndef CHORUS_TESTS_SUPPORT_SAFETENSORS_FILE_H_
#define CHORUS_TESTS_SUPPORT_SAFETENSORS_FILE_H_

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "kernels/check.h"
#include "kernels/device/dtype.h"

namespace chorus::test {

struct FileTensor {
  std::string name;
  std::string dtype;  // "F32", "BF16", "F16" …
  std::vector<uint64_t> shape;
  std::string bytes;
};

// Values as the file holds them; F16 takes only what it represents exactly.
inline std::string EncodeValues(const std::vector<float>& values, const std::string& dtype) {
  std::string bytes;
  for (const float value : values) {
    if (dtype == "F32") {
      bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
      continue;
    }
    uint16_t bits = kernels::Bf16::FromFloat(value).bits;
    if (dtype == "F16") {
      const auto half = static_cast<_Float16>(value);
      std::memcpy(&bits, &half, sizeof(bits));
      CHORUS_CHECK_EQ(kernels::F16{bits}.ToFloat(), value);
    }
    bytes.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
  }
  return bytes;
}

inline std::string SafetensorsBytes(const std::vector<FileTensor>& tensors) {
  std::string header = "{";
  std::string data;
  for (const FileTensor& tensor : tensors) {
    std::string shape;
    for (const uint64_t size : tensor.shape) {
      shape += (shape.empty() ? "" : ",") + std::to_string(size);
    }
    const size_t begin = data.size();
    data += tensor.bytes;
    header += (header.size() > 1 ? ",\"" : "\"") + tensor.name + "\":{\"dtype\":\"" + tensor.dtype +
              "\",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(begin) + "," +
              std::to_string(data.size()) + "]}";
  }
  header += "}";
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(header.size() >> (8 * i));
  return file + header + data;
}

inline void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  CHORUS_CHECK(out.good());
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_SAFETENSORS_FILE_H_
