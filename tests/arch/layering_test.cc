// Includes point downwards only, folders form no circle, and nobody includes tests or benches.
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "tests/arch/source_tree.h"

namespace chorus {
namespace {

const std::vector<std::string> kProduct = {"kernels", "engine", "server"};

// The floor of a file: it may include its own floor and those below. Nullopt: not one of ours.
std::optional<int> Floor(const std::string& path) {
  static const std::vector<std::pair<std::string, int>> floors = {
      {"kernels/", 0},         {"proto/", 0},           {"chorus/v1/", 0},
      {"engine/clock", 1},     {"engine/refusal", 1},   {"engine/json/", 1},
      {"engine/text/", 2},     {"engine/memory/", 2},   {"engine/model/", 2},
      {"engine/adapters/", 3}, {"engine/schedule/", 4}, {"engine/", 5},
      {"server/", 6},          {"tests/", 7},           {"bench/", 7},
  };
  for (const auto& [prefix, floor] : floors) {
    if (absl::StartsWith(path, prefix)) return floor;
  }
  return std::nullopt;
}

std::string Folder(const std::string& path) { return path.substr(0, path.rfind('/')); }

std::vector<std::string> Includes(const SourceFile& file) {
  std::vector<std::string> included;
  for (absl::string_view line : file.lines) {
    if (!absl::ConsumePrefix(&line, "#include \"")) continue;
    included.emplace_back(line.substr(0, line.find('"')));
  }
  return included;
}

TEST(LayeringTest, IncludesPointDownwards) {
  int arrows = 0;
  for (const SourceFile& file : ReadSources(kProduct)) {
    const std::optional<int> from = Floor(file.path);
    ASSERT_TRUE(from.has_value()) << file.path;
    for (const std::string& target : Includes(file)) {
      const std::optional<int> to = Floor(target);
      if (!to.has_value()) continue;
      // The one door: what a kernel source means where a test compiles it with the host's compiler.
      if (file.path == "kernels/device/arch.h" && target == "tests/simt/arch_simt.h") continue;
      ++arrows;
      EXPECT_LE(*to, *from) << file.path << " includes " << target;
      // On the engine's ground, text, memory and model do not know each other.
      if (*from == 2 && *to == 2) {
        const auto room = [](const std::string& path) {
          return std::vector<std::string>(absl::StrSplit(path, '/'))[1];
        };
        EXPECT_EQ(room(file.path), room(target)) << file.path << " includes " << target;
      }
    }
  }
  EXPECT_GT(arrows, 50);
}

TEST(LayeringTest, FoldersFormNoCircle) {
  std::map<std::string, std::set<std::string>> arrows;
  for (const SourceFile& file : ReadSources(kProduct)) {
    for (const std::string& target : Includes(file)) {
      if (!Floor(target).has_value() || Folder(target) == Folder(file.path)) continue;
      // Files that lie directly in engine/ are of two floors; Floor() keeps them apart.
      if (Folder(target) == "engine" || Folder(file.path) == "engine") continue;
      arrows[Folder(file.path)].insert(Folder(target));
    }
  }
  std::map<std::string, int> state;  // 1: on the path, 2: done
  std::vector<std::string> path;
  const auto visit = [&](const auto& self, const std::string& folder) -> void {
    path.push_back(folder);
    state[folder] = 1;
    for (const std::string& next : arrows[folder]) {
      if (state[next] == 1) {
        std::string circle;
        for (auto it = std::find(path.begin(), path.end(), next); it != path.end(); ++it) {
          circle += *it + " → ";
        }
        ADD_FAILURE() << "circle: " << circle << next;
      }
      if (state[next] == 0) self(self, next);
    }
    state[folder] = 2;
    path.pop_back();
  };
  std::vector<std::string> folders;
  for (const auto& [folder, targets] : arrows) folders.push_back(folder);
  for (const std::string& folder : folders) {
    if (state[folder] == 0) visit(visit, folder);
  }
}

TEST(LayeringTest, HeadersOpenNoNamespace) {
  for (const SourceFile& file : ReadSources(kProduct)) {
    if (!absl::EndsWith(file.path, ".h") && !absl::EndsWith(file.path, ".cuh")) continue;
    for (const std::string& line : file.lines) {
      EXPECT_FALSE(absl::StrContains(line, "using namespace")) << file.path << ": " << line;
    }
  }
}

TEST(LayeringTest, ProtocolsStayInTheServer) {
  for (const SourceFile& file : ReadSources({"kernels", "engine"})) {
    for (absl::string_view line : file.lines) {
      if (!absl::StartsWith(line, "#include")) continue;
      EXPECT_FALSE(absl::StrContains(line, "grpc") || absl::StrContains(line, "google/protobuf") ||
                   absl::StrContains(line, ".pb.h") || absl::StrContains(line, "prometheus"))
          << file.path << ": " << line;
    }
  }
  for (const SourceFile& file : ReadSources({"server"})) {
    const bool allowed =
        absl::StartsWith(file.path, "server/grpc/") || absl::StartsWith(file.path, "server/cli/");
    for (absl::string_view line : file.lines) {
      if (!absl::StartsWith(line, "#include") || allowed) continue;
      EXPECT_FALSE(absl::StrContains(line, "grpc++") || absl::StrContains(line, "grpcpp"))
          << file.path << ": " << line;
    }
  }
}

}  // namespace
}  // namespace chorus
