// What a safetensors file may not be, whatever it holds: length, header, offsets.
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/refusal_cases.h"

namespace chorus::test {
namespace {

using engine::Json;
using engine::ModelConfig;
using engine::Reason;

constexpr char kFile[] = "adapter_model.safetensors";

// A good config beside this file.
RefusalCase File(std::string name, std::string object,
                 std::function<std::string(const ModelConfig&)> make) {
  return {absl::StrCat("file_", name),
          Reason::kAdapterFileInvalid,
          std::move(object),
          [make = std::move(make)](const ModelConfig& model) {
            return AdapterUpload{GoodAdapter(model).config_text(), make(model)};
          },
          {}};
}

RefusalCase Bytes(std::string name, std::string object, std::string bytes) {
  return File(std::move(name), std::move(object),
              [bytes = std::move(bytes)](const ModelConfig&) { return bytes; });
}

// A good file of which the bytes were changed.
RefusalCase Edited(std::string name, std::string object, std::function<void(std::string&)> edit) {
  return File(std::move(name), std::move(object),
              [edit = std::move(edit)](const ModelConfig& model) {
                std::string file = GoodAdapter(model).tensor_file();
                edit(file);
                return file;
              });
}

// A good file of which the header was changed, the data not.
RefusalCase Header(std::string name, std::string object, std::function<void(Json&)> change) {
  return File(std::move(name), std::move(object),
              [change = std::move(change)](const ModelConfig& model) {
                const AdapterFiles files = GoodAdapter(model);
                Json header = SafetensorsHeader(files.tensors);
                change(header);
                std::string data;
                for (const FileTensor& tensor : files.tensors) data += tensor.bytes;
                return SafetensorsFile(header.dump(), data);
              });
}

// The header's text as it is, and the length that it claims.
RefusalCase Length(std::string name, uint64_t length) {
  return Edited(absl::StrCat("header_length_", name), absl::StrCat(kFile, ": header"),
                [length](std::string& file) { std::memcpy(file.data(), &length, 8); });
}

RefusalCase HeaderText(std::string name, const std::string& text) {
  return Bytes(absl::StrCat("header_", name), absl::StrCat(kFile, ": header"),
               SafetensorsFile(text, ""));
}

const std::string& FirstName() {
  static const std::string* const name =
      new std::string("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
  return *name;
}

// The first tensor's entry was changed.
RefusalCase Entry(std::string name, std::function<void(Json&)> change) {
  // A name that long is shown by its beginning.
  const std::string object = absl::StrCat(kFile, ": \"", FirstName().substr(0, 60));
  return Header(absl::StrCat("entry_", name), object,
                [change = std::move(change)](Json& header) { change(header[FirstName()]); });
}

void AddLengths(std::vector<RefusalCase>* cases) {
  cases->push_back(Length("zero", 0));
  cases->push_back(Length("one", 1));
  cases->push_back(Length("one_less", 100));
  cases->push_back(Length("beyond_file", uint64_t{7} << 20));
  cases->push_back(Length("beyond_limit", (uint64_t{8} << 20) + 1));
  cases->push_back(Length("2_to_60", uint64_t{1} << 60));
  cases->push_back(Length("2_to_63", uint64_t{1} << 63));
  cases->push_back(Length("overflows", UINT64_MAX));
  cases->push_back(Length("overflows_by_eight", UINT64_MAX - 7));
  cases->push_back(Bytes("is_one_byte", kFile, "{"));
  cases->push_back(Bytes("is_nine_bytes", kFile, std::string(9, '\0')));
  cases->push_back(Bytes("is_zeros", absl::StrCat(kFile, ": header"), std::string(4096, '\0')));
  cases->push_back(Bytes("is_zip", absl::StrCat(kFile, ": header"),
                         "PK\x03\x04 archive/data.pkl" + std::string(4096, 'x')));
  cases->push_back(
      Bytes("is_gguf", absl::StrCat(kFile, ": header"), "GGUF\x03" + std::string(4096, 'x')));
  cases->push_back(Bytes("is_lfs_pointer", absl::StrCat(kFile, ": header"),
                         "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"));
  cases->push_back(Edited("cut_in_header", absl::StrCat(kFile, ": header"),
                          [](std::string& file) { file.resize(200); }));
  cases->push_back(Edited("cut_by_one_byte", "", [](std::string& file) { file.pop_back(); }));
  cases->push_back(
      Edited("cut_in_half", "", [](std::string& file) { file.resize(file.size() / 2); }));
  cases->push_back(Edited("longer_by_one_byte", kFile, [](std::string& file) { file += 'x'; }));
}

std::string Repeated(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

void AddHeaders(std::vector<RefusalCase>* cases) {
  cases->push_back(HeaderText("is_text", "tensors: none at all"));
  cases->push_back(HeaderText("is_array", "[{}]"));
  cases->push_back(HeaderText("is_spaces", "                "));
  cases->push_back(HeaderText("begins_with_space", " {}     "));
  cases->push_back(HeaderText("ends_with_newline", "{}\n"));
  cases->push_back(HeaderText("ends_with_zero", std::string("{}\0", 3)));
  cases->push_back(HeaderText("is_two_objects", "{}{}"));
  cases->push_back(HeaderText("has_duplicate_tensor",
                              R"({"t":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
                              R"("t":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})"));
  cases->push_back(HeaderText("has_duplicate_field",
                              R"({"t":{"dtype":"F32","shape":[0],"shape":[0],)"
                              R"("data_offsets":[0,0]}})"));
  cases->push_back(
      HeaderText("has_duplicate_metadata", R"({"__metadata__":{},"__metadata__":{}})"));
  cases->push_back(HeaderText("is_deep", R"({"t":{"shape":[[0]]}})"));
  cases->push_back(HeaderText("is_depth_bomb", Repeated("{\"a\":", 100000) + "}"));
  cases->push_back(HeaderText("has_invalid_utf8", "{\"\xff\xfe\":0}"));
  std::string many = "{";
  for (int i = 0; i <= 20000; ++i) {
    absl::StrAppend(&many, i == 0 ? "" : ",", "\"t", i,
                    R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})");
  }
  cases->push_back(HeaderText("has_20001_tensors", many + "}"));
  cases->back().object = kFile;
  const std::string metadata = absl::StrCat(kFile, ": __metadata__");
  const auto add = [&](const char* name, Json value) {
    cases->push_back(Header(absl::StrCat("metadata_", name), metadata,
                            [value](Json& header) { header["__metadata__"] = value; }));
  };
  add("is_list", {"pt"});
  add("is_number", 1);
  add("holds_number", {{"format", 1}});
  add("holds_long_text", {{"format", std::string(4097, 'x')}});
  Json large = Json::object();
  for (int i = 0; i <= 256; ++i) large.emplace(absl::StrCat("k", i), "v");
  add("has_257_keys", large);
  const std::pair<const char*, std::string> names[] = {
      {"empty", ""},
      {"with_space", "base_model.model. x"},
      {"with_newline", "base_model.model.\nx"},
      {"with_zero", std::string("base_model.model.\0x", 19)},
      {"with_escape", "base_model.model.\x1b[2J"},
      {"not_ascii", "base_model.model.l\xc3\xb6ra_A"},
      {"with_bidi_override", "base_model.model.\xe2\x80\xaex"},
      {"with_homoglyph", "base_model.model.model.layers.0.self_attn.q_proj.l\xd0\xbera_A.weight"},
      {"of_513_bytes", std::string(513, 'n')}};
  for (const auto& [name, text] : names) {
    cases->push_back(Header(absl::StrCat("name_", name), kFile, [text = text](Json& header) {
      header[text] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
    }));
  }
}

void AddEntries(std::vector<RefusalCase>* cases) {
  const auto set = [&](const char* name, const char* field, Json value) {
    cases->push_back(Entry(name, [field, value](Json& entry) { entry[field] = value; }));
  };
  cases->push_back(Entry("is_list", [](Json& entry) { entry = Json::array(); }));
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    cases->push_back(
        Entry(absl::StrCat("without_", field), [field](Json& entry) { entry.erase(field); }));
    set((std::string(field) + "_is_null").c_str(), field, nullptr);
  }
  set("with_extra_field", "stride", {1});
  set("dtype_unknown", "dtype", "F31");
  set("dtype_in_lower_case", "dtype", "f32");
  set("dtype_is_number", "dtype", 32);
  set("shape_negative", "shape", {-2, -64});
  set("shape_float", "shape", {2.0, 64.0});
  set("shape_text", "shape", {"2", "64"});
  set("shape_number", "shape", 128);
  set("shape_beyond_2_to_31", "shape", {2, (uint64_t{1} << 31) + 1});
  set("shape_has_nine_sizes", "shape", {1, 1, 1, 1, 1, 1, 1, 2, 64});
  set("shape_overflows", "shape", {1u << 31, 1u << 31, 1u << 31});
  set("shape_overflows_before_zero", "shape", {1u << 31, 1u << 31, 1u << 31, 0});
  set("shape_larger_than_data", "shape", {2, 1 << 20});
  set("type_smaller_than_data", "dtype", "F16");
  set("type_of_half_bytes", "dtype", "F4");
  set("offsets_reversed", "data_offsets", {64, 0});
  set("offsets_negative", "data_offsets", {-8, 504});
  set("offsets_float", "data_offsets", {0.0, 512.0});
  set("offsets_exponent_overflow", "data_offsets", {0, 1e30});
  set("offsets_text", "data_offsets", {"0", "512"});
  set("offsets_single", "data_offsets", Json::array({0}));
  set("offsets_triple", "data_offsets", {0, 1, 2});
  set("offsets_beyond_file", "data_offsets", {0, uint64_t{1} << 62});
  set("offsets_beyond_int64", "data_offsets", {0, UINT64_MAX});
  set("offsets_empty_range", "data_offsets", {0, 0});
  // Two tensors on the same bytes, and bytes that belong to none.
  cases->push_back(Header("overlap", kFile, [](Json& header) {
    header[PeftName(0, "q_proj", "lora_B.weight")]["data_offsets"] =
        header[PeftName(1, "q_proj", "lora_B.weight")]["data_offsets"];
  }));
  cases->push_back(Header(
      "hole", kFile, [](Json& header) { header.erase(PeftName(0, "q_proj", "lora_B.weight")); }));
  cases->push_back(Header("hole_at_begin", kFile, [](Json& header) { header.erase(FirstName()); }));
  cases->push_back(Header("bytes_behind_the_last", kFile,
                          [](Json& header) { header.erase(std::prev(header.end()).key()); }));
}

}  // namespace

std::vector<RefusalCase> SafetensorsFileCases() {
  std::vector<RefusalCase> cases;
  AddLengths(&cases);
  AddHeaders(&cases);
  AddEntries(&cases);
  return cases;
}

}  // namespace chorus::test
