// Renders templates for the comparison with jinja2: reads JSON lines
//   {"template": "…", "context": {…}, "now": microseconds since the epoch (UTC; optional)}
// and answers each with {"output": "…"} or {"error": "…", "line": N}.
#include <iostream>
#include <string>

#include "engine/text/jinja/jinja.h"

namespace {

using chorus::jinja::Json;

// "line 12: …" → 12.
int LineOf(const std::string& message) {
  if (message.rfind("line ", 0) != 0) return 0;
  int line = 0;
  for (size_t i = 5; i < message.size() && message[i] >= '0' && message[i] <= '9'; ++i) {
    line = line * 10 + (message[i] - '0');
  }
  return line;
}

Json Answer(const Json& request) {
  const auto fail = [](const absl::Status& status) {
    const std::string message(status.message());
    return Json{{"error", message}, {"line", LineOf(message)}};
  };
  const auto parsed = chorus::jinja::Template::Parse(request["template"].get<std::string>());
  if (!parsed.ok()) return fail(parsed.status());
  const int64_t now = request.value("now", int64_t{0});
  const auto output = parsed->Render(
      request["context"],
      {.now = [now] { return absl::FromUnixMicros(now); }, .zone = absl::UTCTimeZone()});
  if (!output.ok()) return fail(output.status());
  return Json{{"output", *output}};
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const Json request = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (request.is_discarded()) {
      std::cerr << "not JSON: " << line << "\n";
      return 2;
    }
    std::cout << Answer(request).dump() << "\n" << std::flush;
  }
  return 0;
}
