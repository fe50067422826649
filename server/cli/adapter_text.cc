#include "server/cli/adapter_text.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "server/cli/printable.h"
#include "server/cli/table.h"
#include "server/cli/units.h"

namespace chorus::cli {
namespace {

std::string StateText(const v1::Adapter& adapter) {
  if (!v1::Adapter::State_IsValid(adapter.state())) return "unknown";
  return absl::AsciiStrToLower(v1::Adapter::State_Name(adapter.state()));
}

// Where it is now: what a request for it would find.
std::string PlaceText(const v1::Adapter& adapter) {
  switch (adapter.residency()) {
    case v1::Adapter::DISK:
      return "on disk";
    case v1::Adapter::LOADING:
      return "loading";
    case v1::Adapter::RESIDENT:
      return "in the pool";
    default:
      return "unknown";
  }
}

bool IsActivated(const v1::Adapter& adapter) { return adapter.alora_invocation_tokens_size() > 0; }

absl::Time CreatedOf(const v1::Adapter& adapter) {
  return absl::FromUnixSeconds(adapter.created().seconds()) +
         absl::Nanoseconds(adapter.created().nanos());
}

std::string CreatedText(const v1::Adapter& adapter) {
  if (!adapter.has_created()) return "unknown";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", CreatedOf(adapter), absl::UTCTimeZone());
}

}  // namespace

std::string ShortDigest(const std::string& digest) { return digest.substr(0, 7 + 12); }

std::string AdapterLine(const v1::Adapter& adapter) {
  return Printable(
      absl::StrCat(adapter.name(), " version ", adapter.version(), ", ", adapter.digest()));
}

std::string AdapterText(const v1::Adapter& adapter) {
  std::string text;
  const auto add = [&text](absl::string_view name, const std::string& value) {
    absl::StrAppend(&text, name, std::string(10 - name.size(), ' '), Printable(value), "\n");
  };
  add("name", adapter.name());
  add("version",
      absl::StrCat(adapter.version(), adapter.shared() ? ", shared with everybody" : ""));
  add("digest", adapter.digest());
  add("state", absl::StrCat(StateText(adapter), ", ", PlaceText(adapter),
                            adapter.pinned() ? ", pinned" : ""));
  add("rank",
      absl::StrCat("up to ", adapter.max_rank(), " over ", absl::StrJoin(adapter.modules(), ", ")));
  if (IsActivated(adapter)) {
    add("active",
        absl::StrCat("from tokens ", absl::StrJoin(adapter.alora_invocation_tokens(), " "),
                     " on (aLoRA)"));
  }
  add("size", absl::StrCat(BytesText(adapter.config_bytes() + adapter.tensor_bytes()), " stored, ",
                           CountText(adapter.pages()), " pages of the pool"));
  if (!adapter.base_model_name_or_path().empty()) add("base", adapter.base_model_name_or_path());
  add("created", absl::StrCat(CreatedText(adapter), " UTC"));
  for (const std::string& warning : adapter.warnings()) add("warning", warning);
  return text;
}

std::string AdapterTable(const std::vector<v1::Adapter>& adapters) {
  Table table({"NAME", "VERSION", "KIND", "RANK", "SIZE", "PAGES", "STATE", "WHERE",
               "CREATED (UTC)", "DIGEST"},
              {Table::kLeft, Table::kRight, Table::kLeft, Table::kRight, Table::kRight,
               Table::kRight, Table::kLeft, Table::kLeft, Table::kLeft, Table::kLeft});
  for (const v1::Adapter& adapter : adapters) {
    table.Add({adapter.name(), absl::StrCat(adapter.version()),
               IsActivated(adapter) ? "aLoRA" : "LoRA", absl::StrCat(adapter.max_rank()),
               BytesText(adapter.config_bytes() + adapter.tensor_bytes()),
               CountText(adapter.pages()), StateText(adapter),
               absl::StrCat(PlaceText(adapter), adapter.pinned() ? ", pinned" : ""),
               CreatedText(adapter), ShortDigest(adapter.digest())});
  }
  return table.Text();
}

nlohmann::ordered_json AdapterJson(const v1::Adapter& adapter) {
  nlohmann::ordered_json json = {
      {"name", adapter.name()},
      {"version", adapter.version()},
      {"digest", adapter.digest()},
      {"state", v1::Adapter::State_Name(adapter.state())},
      {"residency", v1::Adapter::Residency_Name(adapter.residency())},
      {"pinned", adapter.pinned()},
      {"shared", adapter.shared()},
      {"config_bytes", adapter.config_bytes()},
      {"tensor_bytes", adapter.tensor_bytes()},
      {"max_rank", adapter.max_rank()},
      {"pages", adapter.pages()},
      {"modules", nlohmann::ordered_json::array()},
      {"alora_invocation_tokens", nlohmann::ordered_json::array()},
      {"base_model_name_or_path", adapter.base_model_name_or_path()},
      {"warnings", nlohmann::ordered_json::array()},
      {"created", absl::FormatTime(absl::RFC3339_sec, CreatedOf(adapter), absl::UTCTimeZone())}};
  for (const std::string& module : adapter.modules()) json["modules"].push_back(module);
  for (const int32_t token : adapter.alora_invocation_tokens()) {
    json["alora_invocation_tokens"].push_back(token);
  }
  for (const std::string& warning : adapter.warnings()) json["warnings"].push_back(warning);
  return json;
}

}  // namespace chorus::cli
