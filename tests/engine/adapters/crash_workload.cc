#include "tests/engine/adapters/crash_workload.h"

#include <set>

#include "absl/strings/str_cat.h"

namespace chorus::test {

using engine::AdapterInfo;

std::vector<Workload> CrashWorkloads() {
  using Kind = Step::Kind;
  const auto put = [](const char* tenant, const char* name, uint64_t seed) {
    return Step{Kind::kPut, tenant, name, seed};
  };
  const auto remove = [](const char* tenant, const char* name) {
    return Step{Kind::kDelete, tenant, name, 0};
  };
  return {
      {"put", {put("acme", "a", 1), put("acme", "b", 2)}},
      {"replace", {put("acme", "a", 1), put("acme", "a", 2), put("acme", "a", 1)}},
      {"delete",
       {put("acme", "a", 1), put("acme", "b", 1), remove("acme", "a"), remove("acme", "b")}},
      {"retry",
       {put("acme", "a", 1), put("acme", "a", 1), put("acme", "a", 2), put("acme", "a", 2)}},
      {"delete then put",
       {put("acme", "a", 1), remove("acme", "a"), put("acme", "a", 1), remove("acme", "a"),
        put("acme", "a", 3)}},
      {"two tenants",
       {put("acme", "a", 1), put("globex", "a", 1), Step{Kind::kPin, "globex", "a", 0},
        remove("acme", "a"), put("globex", "a", 2), Step{Kind::kUnpin, "globex", "a", 0}}},
  };
}

void ApplyStep(const Step& step, const AdapterInfo& info, Contents* contents) {
  const NameKey key{step.tenant, step.name};
  if (step.kind == Step::Kind::kDelete) {
    contents->erase(key);
  } else {
    (*contents)[key] = {info.version, info.digest, info.pinned};
  }
}

SmallAdapter AdapterOf(uint64_t seed) {
  return SmallAdapter::Make(seed, seed < 100 ? 1 : 1 + static_cast<int>(seed % 48));
}

absl::StatusOr<AdapterInfo> RunStep(const Step& step, engine::Catalog& catalog) {
  switch (step.kind) {
    case Step::Kind::kPut: {
      const SmallAdapter adapter = AdapterOf(step.seed);
      return Send(catalog, RequestFor(step.tenant, step.name, adapter), adapter, 8192);
    }
    case Step::Kind::kDelete:
      return catalog.Delete(step.tenant, step.name, {});
    case Step::Kind::kPin:
    case Step::Kind::kUnpin:
      return catalog.SetPinned(step.tenant, step.name, step.kind == Step::Kind::kPin, {});
  }
  return absl::InternalError("unknown step");
}

namespace {

// What lies on the disk must be what manifests name, byte for byte, and nothing more.
void CheckFiles(const std::map<std::string, std::string>& files,
                std::vector<std::string>* problems) {
  std::set<std::string> named;
  for (const auto& [path, bytes] : files) {
    if (!path.starts_with("manifests/") || path.ends_with("/+floor")) continue;
    const auto manifest = engine::Manifest::Parse(bytes);
    if (!manifest.ok()) {
      problems->push_back(absl::StrCat(path, ": ", manifest.status().message()));
      continue;
    }
    for (const engine::ObjectName& object : {manifest->config, manifest->tensors}) {
      const std::string object_path = engine::ObjectPath(object.sha256);
      named.insert(object_path);
      const auto found = files.find(object_path);
      if (found == files.end()) {
        problems->push_back(absl::StrCat(path, ": ", object_path, " is missing"));
      } else if (engine::Sha256Hex(found->second) != object.sha256) {
        problems->push_back(absl::StrCat(path, ": ", object_path, " has other bytes"));
      }
    }
  }
  for (const auto& [path, bytes] : files) {
    if (path.starts_with("staging/") || path.starts_with("quarantine/") || path == "failed") {
      problems->push_back(absl::StrCat(path, " is left"));
    }
    if (path.starts_with("objects/") && !named.contains(path)) {
      problems->push_back(absl::StrCat(path, " is nobody's"));
    }
  }
}

}  // namespace

std::string Show(const Contents& contents) {
  std::string text;
  for (const auto& [key, known] : contents) {
    absl::StrAppend(&text, " ", key.first, "/", key.second, "@", known.version, "=",
                    known.digest.Hex().substr(0, 6), known.pinned ? "!" : "");
  }
  return text.empty() ? " nothing" : text;
}

absl::Status RunWorkload(const Workload& workload, CatalogHarness& harness,
                         const std::function<void(size_t)>& before,
                         const std::function<void(size_t, const AdapterInfo&)>& after) {
  for (size_t i = 0; i < workload.steps.size(); ++i) {
    before(i);
    const auto info = RunStep(workload.steps[i], harness.catalog());
    if (!info.ok()) return info.status();
    after(i, *info);
    harness.Settle();
  }
  return absl::OkStatus();
}

std::vector<AdapterInfo> AnswersOf(const Workload& workload) {
  std::vector<AdapterInfo> answers;
  CatalogHarness harness;
  CHORUS_CHECK(harness.Open().ok());
  const absl::Status ran = RunWorkload(
      workload, harness, [](size_t) {},
      [&](size_t, const AdapterInfo& info) { answers.push_back(info); });
  CHORUS_CHECK(ran.ok());
  return answers;
}

Contents ContentsOf(const engine::Catalog& catalog, const std::map<std::string, std::string>& files,
                    std::vector<std::string>* problems) {
  Contents contents;
  for (const char* tenant : {"acme", "globex"}) {
    for (const AdapterInfo& info : catalog.List(tenant)) {
      contents[{tenant, info.name}] = {info.version, info.digest, info.pinned};
      const auto version = catalog.Resolve(tenant, info.name);
      const absl::Status loaded = version.ok() ? LoadImage(**version) : version.status();
      if (loaded.ok()) continue;
      problems->push_back(absl::StrCat(tenant, "/", info.name, ": ", loaded.message()));
    }
  }
  CheckFiles(files, problems);
  return contents;
}

Contents ContentsOf(CatalogHarness& harness, std::vector<std::string>* problems) {
  return ContentsOf(harness.catalog(), harness.disk().Files(), problems);
}

std::vector<std::string> CheckRecovery(std::shared_ptr<FaultDisk> disk,
                                       const Expectation& expectation) {
  CatalogHarness harness(std::move(disk));
  harness.clock.Advance(absl::Hours(1));
  if (const absl::Status opened = harness.Open(); !opened.ok()) {
    return {absl::StrCat("does not open: ", opened.ToString())};
  }
  std::vector<std::string> problems;
  const Contents found = ContentsOf(harness, &problems);
  if (found == expectation.acked) return problems;
  Contents done = expectation.acked;
  if (expectation.in_flight.has_value() && expectation.answer.has_value()) {
    ApplyStep(*expectation.in_flight, *expectation.answer, &done);
    if (found == done) return problems;
  }
  problems.push_back(
      absl::StrCat("expected", Show(expectation.acked), " or", Show(done), ", got", Show(found)));
  return problems;
}

}  // namespace chorus::test
