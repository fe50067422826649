#include "tests/engine/text/text_golden.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/escaping.h"
#include "engine/text/utf8.h"
#include "kernels/check.h"
#include "nlohmann/json.hpp"
#include "tests/support/tiny_model.h"

namespace chorus::test {
namespace {

using nlohmann::json;

constexpr size_t kLines = 5600, kSequences = 400;
constexpr size_t kPlane = 4096;

std::string DataDir() { return std::string(CHORUS_SOURCE_DIR) + "/tests/golden/text/data/"; }

std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  CHORUS_CHECK(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> ReadLines(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream in(path, std::ios::binary);
  CHORUS_CHECK(in.good());
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string Unescaped(const std::string& line) {
  std::string result;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\') {
      result.push_back(line[i]);
      continue;
    }
    const char kind = line.at(++i);
    result.push_back(kind == 'n' ? '\n' : kind == 'r' ? '\r' : kind == '0' ? '\0' : kind);
  }
  return result;
}

// The code points of plane_text(): side by side, then each between a letter and a digit.
std::string PlaneText(char32_t first) {
  std::string together, apart;
  for (char32_t c = first; c < first + kPlane; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    engine::AppendUtf8(c, &together);
    apart += " x";
    engine::AppendUtf8(c, &apart);
    apart += "1";
  }
  return together + apart;
}

void AppendSize(size_t size, std::string* bytes) {
  const auto value = static_cast<uint32_t>(size);
  bytes->append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string ShortDigest(const std::string& bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  CHORUS_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest, nullptr, EVP_sha256(), nullptr) == 1);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest), 3});
}

json Variants() { return json::parse(ReadText(DataDir() + "variants.json")); }
// name -> the folder of a tokenizer.model and a tokenizer_config.json
json SentencePieces() { return json::parse(ReadText(DataDir() + "sentencepiece.json")); }

std::string SmolLm2Dir() {
  const char* const dir = std::getenv("CHORUS_SMOLLM2");
  return dir != nullptr ? dir : std::string(CHORUS_SOURCE_DIR) + "/build/models/smollm2";
}

}  // namespace

std::vector<std::string> GoldenTokenizers() {
  std::vector<std::string> names = {"llama3", "qwen2", "llama2"};
  for (const json& more : {Variants(), SentencePieces()}) {
    for (const auto& [name, entry] : more.items()) names.push_back(name);
  }
  return names;
}

std::string GoldenTokenizerJson(const std::string& name) {
  const std::string whole = DataDir() + name + "/tokenizer.json";
  if (std::filesystem::exists(whole)) return ReadText(whole);
  const json variant = Variants().at(name);
  json tokenizer =
      json::parse(ReadText(DataDir() + variant.at("base").get<std::string>() + "/tokenizer.json"));
  tokenizer.merge_patch(variant.at("patch"));
  return tokenizer.dump();
}

std::string GoldenSentencePiece(const std::string& model) {
  return ReadText(DataDir() + model + "/tokenizer.model");
}

absl::StatusOr<std::unique_ptr<engine::Tokenizer>> LoadGoldenTokenizer(const std::string& name) {
  if (name == "smollm2") return engine::Tokenizer::Load(SmolLm2Dir());
  const TempDir dir;
  const json sentencepieces = SentencePieces();
  if (const auto found = sentencepieces.find(name); found != sentencepieces.end()) {
    WriteFile(dir.path() + "/tokenizer.model", GoldenSentencePiece(found->at("model")));
    WriteFile(dir.path() + "/tokenizer_config.json", found->at("config").dump());
  } else {
    WriteFile(dir.path() + "/tokenizer.json", GoldenTokenizerJson(name));
  }
  return engine::Tokenizer::Load(dir.path());
}

std::vector<std::string> GoldenTexts() {
  std::vector<std::string> texts;
  for (const std::string& line : ReadLines(DataDir() + "corpus.txt")) {
    texts.push_back(Unescaped(line));
  }
  CHORUS_CHECK_EQ(texts.size(), kLines);
  std::vector<char32_t> planes;
  for (char32_t plane = 0; plane < 0x40; ++plane) planes.push_back(plane);
  planes.insert(planes.end(), {0xE0, 0xE1, 0xF0, 0x10F});
  for (const char32_t plane : planes) texts.push_back(PlaneText(plane * kPlane));
  return texts;
}

std::vector<std::vector<int32_t>> GoldenIdSequences(int32_t size) {
  uint64_t state = 1;
  const auto draw = [&](uint64_t end) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int32_t>((state >> 33) % end);
  };
  std::vector<std::vector<int32_t>> sequences(kSequences);
  for (std::vector<int32_t>& ids : sequences) {
    ids.resize(static_cast<size_t>(draw(12)));
    for (int32_t& id : ids) id = draw(2) != 0 ? draw(300) : draw(static_cast<uint64_t>(size));
  }
  return sequences;
}

std::vector<TextDigest> GoldenDigests(const std::string& name) {
  std::vector<TextDigest> digests;
  for (const std::string& line : ReadLines(DataDir() + "digests/" + name + ".txt")) {
    CHORUS_CHECK(line.size() == 13 && line[6] == ' ');
    digests.push_back({line.substr(0, 6), line.substr(7)});
  }
  return digests;
}

std::string DigestOfIds(const std::vector<std::vector<int32_t>>& lists) {
  std::string bytes;
  for (const std::vector<int32_t>& ids : lists) {
    AppendSize(ids.size(), &bytes);
    bytes.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
  }
  return ShortDigest(bytes);
}

std::string DigestOfTexts(const std::vector<std::string>& texts) {
  std::string bytes;
  for (const std::string& text : texts) {
    AppendSize(text.size(), &bytes);
    bytes += text;
  }
  return ShortDigest(bytes);
}

}  // namespace chorus::test
