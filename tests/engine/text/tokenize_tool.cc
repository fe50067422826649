// Encodes and decodes what comes on standard input: the C++ side of tests/golden/text/compare.py.
//
//   chorus_tokenize DIR          DIR holds tokenizer.json or tokenizer.model
//   chorus_tokenize DIR --time   the whole input is one text; prints MB/s
//
//   request := kind:'E' size:u32 bytes          answer := status:u8 [ids [ids ids]] [text text]
//            | kind:'P' size:u32 bytes          ids    := count:u32 id:i32{count}
//            | kind:'D' count:u32 id:i32{count} text   := size:u32 bytes
//
// An answer to 'E' has the ids without and with special tokens, those with isolated special
// tokens, and both decodings of the second; one to 'P' only the first ids, one to 'D' only the
// decodings (without special tokens, then with). Status 1, and nothing else, when encoding fails.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/text/detokenizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/utf8.h"
#include "kernels/check.h"

namespace chorus::engine {
namespace {

bool Read(void* into, size_t size) { return std::fread(into, 1, size, stdin) == size; }

uint32_t ReadSize() {
  uint32_t size = 0;
  CHORUS_CHECK(Read(&size, sizeof size));
  return size;
}

void Put(std::string* out, const void* bytes, size_t size) {
  out->append(static_cast<const char*>(bytes), size);
}

void PutIds(std::string* out, const std::vector<int32_t>& ids) {
  const auto count = static_cast<uint32_t>(ids.size());
  Put(out, &count, sizeof count);
  Put(out, ids.data(), ids.size() * sizeof(int32_t));
}

// The text of `ids`, by the stream; every piece has to be whole characters.
std::string Decoded(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip) {
  Detokenizer detokenizer(&tokenizer, skip);
  std::string text;
  for (const int32_t id : ids) {
    const std::string piece = detokenizer.Append(id);
    CHORUS_CHECK(FindInvalidUtf8(piece) == std::string::npos);
    text += piece;
  }
  const std::string rest = detokenizer.Flush();
  CHORUS_CHECK(FindInvalidUtf8(rest) == std::string::npos);
  text += rest;
  CHORUS_CHECK(text == tokenizer.Decode(ids, skip));
  return text;
}

void PutTexts(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, std::string* out) {
  for (const bool skip : {true, false}) {
    const std::string text = Decoded(tokenizer, ids, skip);
    const auto size = static_cast<uint32_t>(text.size());
    Put(out, &size, sizeof size);
    out->append(text);
  }
}

void AnswerEncode(const Tokenizer& tokenizer, const std::string& text, bool all_ways,
                  std::string* out) {
  std::vector<int32_t> with_special;
  std::string answer(1, '\0');
  for (const EncodeOptions& options :
       {EncodeOptions{false, false}, EncodeOptions{true, false}, EncodeOptions{true, true}}) {
    const auto ids = tokenizer.Encode(text, options);
    if (!ids.ok()) {
      std::cerr << ids.status().ToString() << "\n";
      out->push_back('\1');
      return;
    }
    PutIds(&answer, *ids);
    if (!all_ways) break;
    if (!options.isolate_special_tokens) with_special = *ids;
  }
  if (all_ways) PutTexts(tokenizer, with_special, &answer);
  out->append(answer);
}

void Serve(const Tokenizer& tokenizer) {
  std::string out;
  for (char kind; Read(&kind, 1);) {
    out.clear();
    if (kind == 'E' || kind == 'P') {
      std::string text(ReadSize(), '\0');
      CHORUS_CHECK(Read(text.data(), text.size()));
      AnswerEncode(tokenizer, text, kind == 'E', &out);
    } else {
      std::vector<int32_t> ids(ReadSize());
      CHORUS_CHECK(kind == 'D' && Read(ids.data(), ids.size() * sizeof(int32_t)));
      out.push_back('\0');
      PutTexts(tokenizer, ids, &out);
    }
    std::fwrite(out.data(), 1, out.size(), stdout);
    std::fflush(stdout);
  }
}

int Time(const Tokenizer& tokenizer) {
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  double best = 1e30;
  size_t count = 0;
  for (int i = 0; i < 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto ids = tokenizer.Encode(text);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (!ids.ok()) {
      std::cerr << ids.status().ToString() << "\n";
      return 1;
    }
    count = ids->size();
    best = std::min(best, took.count());
  }
  std::cout << absl::StrCat(text.size(), " bytes, ", count, " tokens, ", best * 1e3, " ms, ",
                            static_cast<double>(text.size()) / best / 1e6, " MB/s\n");
  return 0;
}

}  // namespace
}  // namespace chorus::engine

int main(int argc, char** argv) {
  CHORUS_CHECK(argc >= 2);
  const auto tokenizer = chorus::engine::Tokenizer::Load(argv[1]);
  if (!tokenizer.ok()) {
    std::cerr << tokenizer.status().ToString() << "\n";
    return 1;
  }
  if (argc > 2) return chorus::engine::Time(**tokenizer);
  chorus::engine::Serve(**tokenizer);
  return 0;
}
