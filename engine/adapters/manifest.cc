#include "engine/adapters/manifest.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/adapters/sha256.h"
#include "engine/adapters/store_names.h"
#include "engine/model/model_config.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr std::string_view kFirstLine = "chorus manifest 1";
constexpr int32_t kMaxLayers = 4096;

// Takes lines off the front and says which one is wrong.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : text_(text) {}

  bool NextIs(std::string_view key) const {
    return text_.starts_with(key) && text_.substr(key.size()).starts_with(" ");
  }

  absl::Status TakeExactly(std::string_view expected) {
    const std::string_view line = Take();
    if (line != expected) return Wrong(expected);
    return absl::OkStatus();
  }

  // The words after `key` on the next line, `count` of them.
  absl::StatusOr<std::vector<std::string>> TakeWords(std::string_view key, size_t count) {
    if (!NextIs(key)) return Wrong(key);
    std::vector<std::string> words = absl::StrSplit(std::string(Take()), ' ');
    words.erase(words.begin());
    if (words.size() != count) return Wrong(key);
    return words;
  }

  template <class Int>
  absl::Status TakeInteger(std::string_view key, Int least, Int most, Int* out) {
    CHORUS_ASSIGN_OR_RETURN(const std::vector<std::string> words, TakeWords(key, 1));
    return Integer(words[0], key, least, most, out);
  }

  template <class Int>
  absl::Status Integer(const std::string& word, std::string_view key, Int least, Int most,
                       Int* out) const {
    if (!absl::SimpleAtoi(word, out) || *out < least || *out > most) return Wrong(key);
    return absl::OkStatus();
  }

  absl::Status TakeFlag(std::string_view key, bool* out) {
    int value = 0;
    CHORUS_RETURN_IF_ERROR(TakeInteger(key, 0, 1, &value));
    *out = value == 1;
    return absl::OkStatus();
  }

  absl::Status TakeTokens(std::string_view key, std::vector<int32_t>* out) {
    CHORUS_ASSIGN_OR_RETURN(const std::vector<std::string> words, TakeWords(key, 1));
    for (const absl::string_view word : absl::StrSplit(words[0], ',')) {
      CHORUS_RETURN_IF_ERROR(Integer(std::string(word), key, 0, INT32_MAX, &out->emplace_back()));
    }
    return absl::OkStatus();
  }

  absl::Status TakeName(std::string_view key, std::string* out) {
    CHORUS_ASSIGN_OR_RETURN(const std::vector<std::string> words, TakeWords(key, 1));
    if (!IsValidName(words[0])) return Wrong(key);
    *out = words[0];
    return absl::OkStatus();
  }

  absl::Status TakeEscaped(std::string_view key, std::string* out) {
    if (!NextIs(key)) return Wrong(key);
    const std::string_view line = Take().substr(key.size() + 1);
    if (!absl::CUnescape(absl::string_view(line.data(), line.size()), out)) return Wrong(key);
    return absl::OkStatus();
  }

  absl::Status TakeObject(std::string_view key, ObjectName* out) {
    CHORUS_ASSIGN_OR_RETURN(const std::vector<std::string> words, TakeWords(key, 2));
    if (!IsSha256Hex(words[0])) return Wrong(key);
    out->sha256 = words[0];
    return Integer<uint64_t>(words[1], key, 0, uint64_t{1} << 62, &out->bytes);
  }

  absl::Status TakeModule(ModuleRun* out) {
    constexpr std::string_view kKey = "module";
    CHORUS_ASSIGN_OR_RETURN(const std::vector<std::string> words, TakeWords(kKey, 7));
    CHORUS_RETURN_IF_ERROR(Integer(words[0], kKey, 0, kMaxLayers - 1, &out->first_layer));
    CHORUS_RETURN_IF_ERROR(
        Integer(words[1], kKey, out->first_layer, kMaxLayers - 1, &out->last_layer));
    const auto* const found = std::find(std::begin(kLinearNames), std::end(kLinearNames), words[2]);
    if (found == std::end(kLinearNames)) return Wrong(kKey);
    out->module = static_cast<kernels::LoraModule>(found - std::begin(kLinearNames));
    CHORUS_RETURN_IF_ERROR(Integer(words[3], kKey, 1, 1 << 20, &out->rank));
    int bias = 0;
    CHORUS_RETURN_IF_ERROR(Integer(words[6], kKey, 0, 1, &bias));
    out->bias = bias == 1;
    if (!absl::SimpleAtod(words[4], &out->alpha) || !std::isfinite(out->alpha) ||
        !absl::SimpleAtof(words[5], &out->scale) || !std::isfinite(out->scale)) {
      return Wrong(kKey);
    }
    return absl::OkStatus();
  }

  absl::Status ExpectEnd() const {
    return text_.empty() ? absl::OkStatus() : Wrong("nothing more");
  }

 private:
  std::string_view Take() {
    ++line_;
    const size_t end = std::min(text_.find('\n'), text_.size());
    const std::string_view line = text_.substr(0, end);
    text_.remove_prefix(std::min(end + 1, text_.size()));
    return line;
  }

  absl::Status Wrong(std::string_view expected) const {
    return absl::DataLossError(absl::StrCat("manifest: expected \"",
                                            absl::string_view(expected.data(), expected.size()),
                                            "\" at or before line ", line_ + 1));
  }

  std::string_view text_;
  int line_ = 0;
};

std::string LastLine(std::string_view above) {
  return absl::StrCat("end ", Sha256Hex(above), "\n");
}

bool SameModule(const ModuleRun& run, const AdapterModule& module) {
  return run.module == module.module && run.rank == module.rank && run.alpha == module.alpha &&
         run.scale == module.scale && run.bias == module.bias.has_value();
}

}  // namespace

std::string Manifest::Serialize() const {
  std::string text = absl::StrCat(std::string(kFirstLine), "\ntenant ", tenant, "\nname ", name,
                                  "\nversion ", version, "\ncreated ", absl::ToUnixNanos(created),
                                  "\npinned ", pinned ? 1 : 0, "\ndigest ", digest.Hex());
  absl::StrAppend(&text, "\nconfig ", config.sha256, " ", config.bytes, "\ntensors ",
                  tensors.sha256, " ", tensors.bytes, "\nrslora ", use_rslora ? 1 : 0, "\n");
  if (!invocation.empty()) {
    absl::StrAppend(&text, "invocation ", absl::StrJoin(invocation, ","), "\n");
  }
  absl::StrAppend(&text, "base ", absl::CHexEscape(base_model_name_or_path), "\n");
  for (const std::string& warning : warnings) {
    absl::StrAppend(&text, "warning ", absl::CHexEscape(warning), "\n");
  }
  for (const ModuleRun& run : modules) {
    absl::StrAppendFormat(&text, "module %d %d %s %d %.17g %.9g %d\n", run.first_layer,
                          run.last_layer, kLinearNames[run.module], run.rank, run.alpha, run.scale,
                          run.bias ? 1 : 0);
  }
  return text + LastLine(text);
}

absl::StatusOr<Manifest> Manifest::Parse(std::string_view text) {
  constexpr size_t kLastLineBytes = 4 + 64 + 1;
  if (text.size() < kLastLineBytes || LastLine(text.substr(0, text.size() - kLastLineBytes)) !=
                                          text.substr(text.size() - kLastLineBytes)) {
    return absl::DataLossError("manifest: expected the SHA-256 of its lines at the end");
  }
  LineReader lines(text.substr(0, text.size() - kLastLineBytes));
  Manifest manifest;
  CHORUS_RETURN_IF_ERROR(lines.TakeExactly(kFirstLine));
  CHORUS_RETURN_IF_ERROR(lines.TakeName("tenant", &manifest.tenant));
  CHORUS_RETURN_IF_ERROR(lines.TakeName("name", &manifest.name));
  CHORUS_RETURN_IF_ERROR(
      lines.TakeInteger<int64_t>("version", 1, int64_t{1} << 62, &manifest.version));
  int64_t created = 0;
  CHORUS_RETURN_IF_ERROR(lines.TakeInteger<int64_t>("created", INT64_MIN, INT64_MAX, &created));
  manifest.created = absl::FromUnixNanos(created);
  CHORUS_RETURN_IF_ERROR(lines.TakeFlag("pinned", &manifest.pinned));
  CHORUS_ASSIGN_OR_RETURN(const std::vector<std::string> digest, lines.TakeWords("digest", 1));
  if (!IsSha256Hex(digest[0])) return absl::DataLossError("manifest: digest is not hexadecimal");
  CHORUS_ASSIGN_OR_RETURN(manifest.digest, AdapterDigest::Parse(digest[0]));
  CHORUS_RETURN_IF_ERROR(lines.TakeObject("config", &manifest.config));
  CHORUS_RETURN_IF_ERROR(lines.TakeObject("tensors", &manifest.tensors));
  CHORUS_RETURN_IF_ERROR(lines.TakeFlag("rslora", &manifest.use_rslora));
  if (lines.NextIs("invocation")) {
    CHORUS_RETURN_IF_ERROR(lines.TakeTokens("invocation", &manifest.invocation));
  }
  CHORUS_RETURN_IF_ERROR(lines.TakeEscaped("base", &manifest.base_model_name_or_path));
  while (lines.NextIs("warning")) {
    CHORUS_RETURN_IF_ERROR(lines.TakeEscaped("warning", &manifest.warnings.emplace_back()));
  }
  do {
    CHORUS_RETURN_IF_ERROR(lines.TakeModule(&manifest.modules.emplace_back()));
  } while (lines.NextIs("module"));
  CHORUS_RETURN_IF_ERROR(lines.ExpectEnd());
  return manifest;
}

std::vector<ModuleRun> ModuleRunsOf(const AdapterSpec& spec) {
  std::vector<ModuleRun> runs;
  std::map<kernels::LoraModule, size_t> last;  // index of each linear's newest run
  for (const AdapterModule& module : spec.modules) {
    const auto found = last.find(module.module);
    if (found != last.end()) {
      ModuleRun& run = runs[found->second];
      if (run.last_layer + 1 == module.layer && SameModule(run, module)) {
        run.last_layer = module.layer;
        continue;
      }
    }
    last[module.module] = runs.size();
    runs.push_back({module.layer, module.layer, module.module, module.rank, module.alpha,
                    module.scale, module.bias.has_value()});
  }
  return runs;
}

absl::StatusOr<AdapterSpec> SpecOf(const Manifest& manifest, int32_t num_layers) {
  AdapterSpec spec;
  spec.digest = manifest.digest;
  spec.use_rslora = manifest.use_rslora;
  spec.invocation = manifest.invocation;
  spec.base_model_name_or_path = manifest.base_model_name_or_path;
  spec.warnings = manifest.warnings;
  for (const ModuleRun& run : manifest.modules) {
    if (run.last_layer >= num_layers) {
      return absl::DataLossError(absl::StrCat("manifest of \"", manifest.name,
                                              "\": expected a layer below ", num_layers, ", got ",
                                              run.last_layer));
    }
    for (int32_t layer = run.first_layer; layer <= run.last_layer; ++layer) {
      AdapterModule module{layer, run.module, run.rank, run.alpha, run.scale, {}, {}, {}};
      if (run.bias) module.bias.emplace();
      spec.modules.push_back(std::move(module));
    }
  }
  const auto place = [](const AdapterModule& m) { return std::tuple(m.layer, m.module); };
  std::sort(spec.modules.begin(), spec.modules.end(),
            [&](const auto& a, const auto& b) { return place(a) < place(b); });
  const auto twice =
      std::adjacent_find(spec.modules.begin(), spec.modules.end(),
                         [&](const auto& a, const auto& b) { return place(a) == place(b); });
  if (twice != spec.modules.end()) {
    return absl::DataLossError(absl::StrCat("manifest of \"", manifest.name, "\": layer ",
                                            twice->layer, " has ", kLinearNames[twice->module],
                                            " twice"));
  }
  return spec;
}

}  // namespace chorus::engine
