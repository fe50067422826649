#include "server/metrics/process_families.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "server/metrics/family.h"

namespace chorus::server {
namespace {

std::optional<std::string> ReadProc(const std::string& path) {
  std::ifstream file(path);
  std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (content.empty()) return std::nullopt;
  return content;
}

// Seconds since 1970 at which the machine started: "btime" of /proc/stat.
std::optional<double> BootTime() {
  const std::optional<std::string> stat = ReadProc("/proc/stat");
  if (!stat.has_value()) return std::nullopt;
  const size_t at = stat->find("\nbtime ");
  double seconds = 0;
  if (at == std::string::npos ||
      !absl::SimpleAtod(stat->substr(at + 7, stat->find('\n', at + 1) - at - 7), &seconds)) {
    return std::nullopt;
  }
  return seconds;
}

// Fields of /proc/self/stat after the program's name, which may hold spaces and brackets itself:
// element 0 is field 3 of proc(5).
std::vector<std::string> StatFields() {
  const std::optional<std::string> stat = ReadProc("/proc/self/stat");
  const size_t name_end = stat.has_value() ? stat->rfind(") ") : std::string::npos;
  if (name_end == std::string::npos) return {};
  return absl::StrSplit(stat->substr(name_end + 2), ' ');
}

void AddStat(FamilyList* list) {
  const std::vector<std::string> fields = StatFields();
  constexpr size_t kUserTicks = 11, kSystemTicks = 12, kStartTicks = 19, kBytes = 20, kPages = 21;
  uint64_t user = 0, system = 0, start = 0, bytes = 0, pages = 0;
  if (fields.size() <= kPages || !absl::SimpleAtoi(fields[kUserTicks], &user) ||
      !absl::SimpleAtoi(fields[kSystemTicks], &system) ||
      !absl::SimpleAtoi(fields[kStartTicks], &start) || !absl::SimpleAtoi(fields[kBytes], &bytes) ||
      !absl::SimpleAtoi(fields[kPages], &pages)) {
    return;
  }
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  list->Counter("process_cpu_seconds_total", "Processor time used.",
                static_cast<double>(user + system) / ticks);
  list->Gauge("process_virtual_memory_bytes", "Address space.", static_cast<double>(bytes));
  list->Gauge("process_resident_memory_bytes", "Memory that is resident.",
              static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  if (const std::optional<double> boot = BootTime(); boot.has_value()) {
    list->Gauge("process_start_time_seconds", "When the process started, since 1970.",
                *boot + static_cast<double>(start) / ticks);
  }
}

void AddFiles(FamilyList* list) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir("/proc/self/fd"), closedir);
  if (directory != nullptr) {
    int64_t entries = 0;
    while (readdir(directory.get()) != nullptr) ++entries;
    // ".", ".." and the descriptor of this very listing.
    list->Gauge("process_open_fds", "File descriptors open.", static_cast<double>(entries - 3));
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    list->Gauge("process_max_fds", "File descriptors allowed.",
                static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessFamilies() {
  FamilyList list;
  AddStat(&list);
  AddFiles(&list);
  return list.Take();
}

}  // namespace chorus::server
