#include "server/log/log.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/time/clock.h"

namespace chorus::server {
namespace {

constexpr size_t kMaxValueBytes = 1024;

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

bool IsPlain(char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '='; }

void AppendValue(std::string* line, std::string_view value) {
  const bool cut = value.size() > kMaxValueBytes;
  if (cut) value = value.substr(0, kMaxValueBytes);
  if (!cut && !value.empty() && std::all_of(value.begin(), value.end(), IsPlain)) {
    line->append(value);
    return;
  }
  absl::StrAppend(line, "\"", absl::CHexEscape(absl::string_view(value.data(), value.size())),
                  cut ? "…" : "", "\"");
}

}  // namespace

std::string FormatLogLine(absl::Time time, LogLevel level, std::string_view message,
                          std::initializer_list<LogField> fields) {
  std::string line = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
  // Escaped as well: a message that quotes a Status may carry a client's line breaks.
  absl::StrAppend(&line, " ", std::string(LevelName(level)), " ",
                  absl::CHexEscape(absl::string_view(message.data(), message.size())));
  for (const LogField& field : fields) {
    absl::StrAppend(&line, " ", field.key, "=");
    AppendValue(&line, field.value);
  }
  line.push_back('\n');
  return line;
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  const std::string line = FormatLogLine(absl::Now(), level, message, fields);
  // A log that nobody takes is lost; there is no better place to say so.
  while (write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EINTR) {
  }
}

}  // namespace chorus::server
