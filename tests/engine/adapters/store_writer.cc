#include "tests/engine/adapters/store_writer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/adapters/peft_reader.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::test {
namespace {

using engine::AdapterInfo;
using engine::StoredCatalog;

constexpr const char* kKinds[] = {"put", "delete", "pin", "unpin"};

// A file system whose fsyncs of one kind do nothing.
class ForgetfulFile : public engine::WritableFile {
 public:
  explicit ForgetfulFile(std::unique_ptr<engine::WritableFile> file) : file_(std::move(file)) {}
  absl::Status Allocate(uint64_t bytes) override { return file_->Allocate(bytes); }
  absl::Status Append(std::string_view bytes) override { return file_->Append(bytes); }
  absl::Status Sync() override { return absl::OkStatus(); }
  absl::Status Close() override { return file_->Close(); }

 private:
  const std::unique_ptr<engine::WritableFile> file_;
};

class ForgetfulFs : public engine::FileSystem {
 public:
  ForgetfulFs(std::unique_ptr<engine::FileSystem> files, std::string forget)
      : files_(std::move(files)), forget_(std::move(forget)) {}

  absl::StatusOr<std::unique_ptr<engine::WritableFile>> Create(const std::string& path) override {
    CHORUS_ASSIGN_OR_RETURN(auto file, files_->Create(path));
    if (forget_ != kForgetFiles) return file;
    return std::make_unique<ForgetfulFile>(std::move(file));
  }
  absl::Status SyncDirectory(const std::string& path) override {
    return forget_ == kForgetDirectories ? absl::OkStatus() : files_->SyncDirectory(path);
  }
  absl::Status Lock(const std::string& path) override { return files_->Lock(path); }
  absl::StatusOr<std::unique_ptr<engine::ByteSource>> Open(const std::string& path) override {
    return files_->Open(path);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return files_->Rename(from, to);
  }
  absl::Status Unlink(const std::string& path) override { return files_->Unlink(path); }
  absl::Status MakeDirectory(const std::string& path) override {
    return files_->MakeDirectory(path);
  }
  absl::Status RemoveDirectory(const std::string& path) override {
    return files_->RemoveDirectory(path);
  }
  absl::StatusOr<std::vector<engine::DirectoryEntry>> List(const std::string& path) override {
    return files_->List(path);
  }
  absl::StatusOr<engine::FileStat> Stat(const std::string& path) override {
    return files_->Stat(path);
  }
  absl::Status DropCache(const std::string& path) override { return files_->DropCache(path); }
  absl::StatusOr<uint64_t> FreeBytes() override { return files_->FreeBytes(); }
  absl::StatusOr<std::string> VolatileKind() override { return files_->VolatileKind(); }

 private:
  const std::unique_ptr<engine::FileSystem> files_;
  const std::string forget_;
};

absl::StatusOr<std::unique_ptr<StoredCatalog>> OpenCatalog(const std::string& directory,
                                                           const std::string& forget) {
  engine::CatalogOptions options;
  options.model = SmallModel();
  options.geometry = SmallGeometry();
  options.allow_volatile = true;  // kills need no durable disk, and power cuts bring their own
  options.reserved_bytes = 0;
  CHORUS_ASSIGN_OR_RETURN(auto files, engine::OpenFileSystem(directory));
  options.files = std::make_unique<ForgetfulFs>(std::move(files), forget);
  return StoredCatalog::Open(std::move(options), engine::Clock::Real());
}

void Say(const std::string& line) {
  const std::string text = line + "\n";
  CHORUS_CHECK(write(STDOUT_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

Step RandomStep(std::mt19937_64& random) {
  const auto pick = [&](uint64_t count) { return random() % count; };
  Step step;
  const uint64_t kind = pick(10);
  step.kind = kind < 6   ? Step::Kind::kPut
              : kind < 8 ? Step::Kind::kDelete
                         : (kind == 8 ? Step::Kind::kPin : Step::Kind::kUnpin);
  step.tenant = pick(2) == 0 ? "acme" : "globex";
  step.name = absl::StrCat("name", pick(12));
  step.seed = 100 + pick(48);
  return step;
}

// One digest a seed, computed once.
const engine::AdapterDigest& DigestOf(uint64_t seed) {
  static auto* const digests = new std::map<uint64_t, engine::AdapterDigest>();
  const auto [found, added] = digests->try_emplace(seed);
  if (added) {
    const SmallAdapter adapter = AdapterOf(seed);
    const auto bytes = engine::BorrowBytes(std::as_bytes(std::span(adapter.tensors)));
    found->second = engine::ReadPeftAdapter(adapter.config, *bytes, SmallModel())->digest;
  }
  return found->second;
}

}  // namespace

absl::Status WriteForEver(const std::string& directory, uint64_t seed, const std::string& forget) {
  CHORUS_ASSIGN_OR_RETURN(const auto catalog, OpenCatalog(directory, forget));
  std::mt19937_64 random(seed);
  Say("ready");
  while (true) {
    const Step step = RandomStep(random);
    Say(absl::StrCat("begin ", kKinds[static_cast<int>(step.kind)], " ", step.tenant, " ",
                     step.name, " ", step.seed));
    const absl::StatusOr<AdapterInfo> info = RunStep(step, *catalog);
    if (absl::IsNotFound(info.status())) {
      Say("absent");
      continue;
    }
    CHORUS_RETURN_IF_ERROR(info.status());
    Say(absl::StrCat("done ", info->version, " ", info->digest.Hex(), " ", info->pinned ? 1 : 0));
  }
}

WriterProcess::WriterProcess(const std::string& program, const std::string& directory,
                             uint64_t seed, const std::string& forget) {
  int ends[2];
  CHORUS_CHECK(pipe2(ends, O_CLOEXEC) == 0);
  const std::string seed_text = std::to_string(seed);
  pid_ = fork();
  CHORUS_CHECK(pid_ >= 0);
  if (pid_ == 0) {
    dup2(ends[1], STDOUT_FILENO);
    execl(program.c_str(), program.c_str(), directory.c_str(), seed_text.c_str(), forget.c_str(),
          nullptr);
    _exit(127);
  }
  close(ends[1]);
  output_ = ends[0];
}

WriterProcess::~WriterProcess() {
  if (pid_ > 0) Kill();
}

void WriterProcess::ReadMore() {
  char buffer[4096];
  ssize_t got;
  do {
    got = read(output_, buffer, sizeof(buffer));
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    text_.append(buffer, static_cast<size_t>(got));
  } else {
    close(output_);
    output_ = -1;
  }
}

bool WriterProcess::WaitForLines(int count) {
  while (output_ >= 0 && std::count(text_.begin(), text_.end(), '\n') < count) ReadMore();
  return output_ >= 0;
}

void WriterProcess::Stop() {
  kill(pid_, SIGSTOP);
  int status = 0;
  waitpid(pid_, &status, WUNTRACED);
  if (!WIFSTOPPED(status)) pid_ = -1;  // it had ended, and is reaped now
}

std::vector<std::string> WriterProcess::Kill() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
  }
  while (output_ >= 0) ReadMore();
  std::vector<std::string> lines = absl::StrSplit(text_, '\n');
  lines.pop_back();  // what follows the last end of line: nothing, or half a line
  return lines;
}

void WriterLog::Add(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word == "begin") {
      std::string kind;
      in_flight_.emplace();
      words >> kind >> in_flight_->tenant >> in_flight_->name >> in_flight_->seed;
      for (int k = 0; k < 4; ++k) {
        if (kind == kKinds[k]) in_flight_->kind = static_cast<Step::Kind>(k);
      }
    } else if (word == "done") {
      std::string digest;
      AdapterInfo info;
      words >> info.version >> digest >> info.pinned;
      info.digest = *engine::AdapterDigest::Parse(digest);
      ApplyStep(*in_flight_, info, &acked_);
      in_flight_.reset();
      ++num_acked_;
    } else if (word == "absent") {
      in_flight_.reset();
    }
  }
}

bool WriterLog::Explains(const NameKey& key, const Contents& found) const {
  if (!in_flight_.has_value() || key != NameKey{in_flight_->tenant, in_flight_->name}) return false;
  const auto before = acked_.find(key);
  const auto after = found.find(key);
  if (in_flight_->kind == Step::Kind::kDelete) return after == found.end();
  if (after == found.end()) return false;
  const int64_t version = before == acked_.end() ? 0 : before->second.version;
  if (in_flight_->kind == Step::Kind::kPut) {
    return after->second.digest == DigestOf(in_flight_->seed) && after->second.version > version &&
           after->second.pinned == (before != acked_.end() && before->second.pinned);
  }
  Known pinned = before->second;
  pinned.pinned = in_flight_->kind == Step::Kind::kPin;
  return after->second == pinned;
}

std::optional<std::string> WriterLog::Compare(const Contents& found) {
  std::optional<std::string> problem;
  Contents all = acked_;
  all.insert(found.begin(), found.end());
  for (const auto& [key, known] : all) {
    const auto before = acked_.find(key);
    const auto after = found.find(key);
    const bool same =
        before != acked_.end() && after != found.end() && before->second == after->second;
    if (same || Explains(key, found)) continue;
    problem = absl::StrCat(key.first, "/", key.second, " differs: acknowledged", Show(acked_),
                           "; found", Show(found));
  }
  acked_ = found;
  in_flight_.reset();
  return problem;
}

absl::StatusOr<Contents> ReadStore(const std::string& directory,
                                   std::vector<std::string>* problems) {
  CHORUS_ASSIGN_OR_RETURN(const auto catalog, OpenCatalog(directory, kForgetNothing));
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    files[std::filesystem::relative(entry.path(), directory).string()] = bytes.str();
  }
  return ContentsOf(*catalog, files, problems);
}

}  // namespace chorus::test
