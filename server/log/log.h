// The server's log: one line for an event, on standard error, for people and for machines.
//
//   2026-11-26T15:04:05.123Z info listening address=127.0.0.1:50051 port=50051
//   TIME LEVEL MESSAGE (SPACE KEY=VALUE)…     a VALUE with anything but plain characters is
//   "quoted"
#ifndef CHORUS_SERVER_LOG_LOG_H_
#define CHORUS_SERVER_LOG_LOG_H_

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace chorus::server {

enum class LogLevel { kInfo, kWarning, kError };

struct LogField {
  // A number or a string; the line shows it escaped, and cut at 1 KiB.
  template <class T>
  LogField(std::string_view field_key, const T& field_value) : key(field_key) {
    if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      value = std::string_view(field_value);
    } else {
      value = absl::StrCat(field_value);
    }
  }

  std::string key;  // snake_case
  std::string value;
};

// Thread-safe: each line is one write(2). Prompts, answers and secrets have no place here.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

inline void LogInfo(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, message, fields);
}
inline void LogWarning(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, message, fields);
}
inline void LogError(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, message, fields);
}

// The line that Log writes, with its newline.
std::string FormatLogLine(absl::Time time, LogLevel level, std::string_view message,
                          std::initializer_list<LogField> fields);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_LOG_LOG_H_
