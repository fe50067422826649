#include "tests/support/fault_fs.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/status_macros.h"

namespace chorus::test {

using engine::ByteSource;
using engine::DirectoryEntry;
using engine::FileStat;
using engine::WritableFile;
using kernels::MutexLock;

int64_t FaultDisk::now() const {
  MutexLock lock(&mutex_);
  return now_;
}

void FaultDisk::FailCall(int64_t call, Fault fault) {
  MutexLock lock(&mutex_);
  calls_until_fault_ = call;
  fault_ = fault;
  failed_call_.clear();
}

void FaultDisk::FailNext(const std::string& kind, Fault fault) {
  MutexLock lock(&mutex_);
  failing_kind_ = kind;
  fault_ = fault;
  failed_call_.clear();
}

std::string FaultDisk::failed_call() const {
  MutexLock lock(&mutex_);
  return failed_call_;
}

void FaultDisk::KillAtCall(int64_t call) {
  MutexLock lock(&mutex_);
  calls_until_kill_ = call;
}

bool FaultDisk::killed() const {
  MutexLock lock(&mutex_);
  return calls_until_kill_ < 0 && process_ > 0;
}

absl::Status FaultDisk::Count(const std::string& call, bool reads, int64_t process) {
  if (process == process_ && calls_until_kill_ >= 0 && calls_until_kill_-- == 0) {
    ++process_;
    locked_ = false;
  }
  if (process != process_) return absl::CancelledError("the process is dead");
  const bool is_next = call == failing_kind_;
  if (is_next) failing_kind_.clear();
  if (!is_next && (calls_until_fault_ < 0 || calls_until_fault_-- > 0)) return absl::OkStatus();
  failed_call_ = call;
  if (reads) return absl::DataLossError(absl::StrCat(call, ": injected EIO"));
  if (fault_ == Fault::kIoError)
    return absl::UnavailableError(absl::StrCat(call, ": injected EIO"));
  return absl::ResourceExhaustedError(absl::StrCat(call, ": injected ENOSPC"));
}

void FaultDisk::Apply(const Effect& effect, How how, std::vector<Node>* nodes) {
  if (effect.node >= nodes->size()) nodes->resize(effect.node + 1);
  Node& node = (*nodes)[effect.node];
  if (effect.kind == Effect::Kind::kLink) node.is_directory = effect.makes_directory;
  if (how == How::kDrop) return;
  auto& names = (*nodes)[effect.directory].names;
  switch (effect.kind) {
    case Effect::Kind::kLink:
      names[effect.name] = effect.node;
      break;
    case Effect::Kind::kUnlink:
      names.erase(effect.name);
      break;
    case Effect::Kind::kRename: {
      auto& from = (*nodes)[effect.from_directory].names;
      const auto old = from.find(effect.from_name);
      if (old != from.end() && old->second == effect.node) from.erase(old);
      names[effect.name] = effect.node;
      break;
    }
    case Effect::Kind::kWrite: {
      std::string bytes = effect.bytes;
      if (how == How::kZero) bytes.assign(bytes.size(), '\0');
      if (how == How::kFirst512) bytes.resize(std::min<size_t>(bytes.size(), 512));
      if (how == How::kFirst4096) bytes.resize(std::min<size_t>(bytes.size(), 4096));
      if (node.bytes.size() < effect.offset + bytes.size()) {
        node.bytes.resize(effect.offset + bytes.size());  // a hole reads as zeros
      }
      node.bytes.replace(effect.offset, bytes.size(), bytes);
      break;
    }
  }
}

void FaultDisk::Add(Effect effect) {
  effect.time = now_++;
  Apply(effect, How::kKeep, &nodes_);
  effects_.push_back(std::move(effect));
}

void FaultDisk::Sync(const std::function<bool(const Effect&)>& covers, bool failed, bool ignored) {
  const int64_t time = now_++;
  if (ignored && !failed) return;
  for (Effect& effect : effects_) {
    if (effect.durable <= time || effect.thrown_away || !covers(effect)) continue;
    if (failed) {
      effect.thrown_away = true;
    } else {
      effect.durable = time;
    }
  }
}

std::shared_ptr<FaultDisk> FaultDisk::Build(int64_t at,
                                            const std::function<How(size_t)>& how) const {
  auto disk = std::make_shared<FaultDisk>(options_);
  MutexLock lock(&disk->mutex_);
  disk->nodes_ = base_;
  for (size_t i = 0; i < effects_.size() && effects_[i].time < at; ++i) {
    Apply(effects_[i], effects_[i].durable < at ? How::kKeep : how(i), &disk->nodes_);
  }
  disk->base_ = disk->nodes_;
  return disk;
}

void FaultDisk::ForEachCrashState(
    int64_t at,
    const std::function<void(std::shared_ptr<FaultDisk>, const std::string&)>& visit) const {
  MutexLock lock(&mutex_);
  std::vector<size_t> open;  // effects that are not durable yet
  for (size_t i = 0; i < effects_.size() && effects_[i].time < at; ++i) {
    if (effects_[i].durable >= at) open.push_back(i);
  }
  visit(Build(at, [](size_t) { return How::kKeep; }), "nothing");
  if (open.empty()) return;
  visit(Build(at, [](size_t) { return How::kDrop; }), "all that was not synced");
  visit(Build(at, [](size_t) { return How::kZero; }), "the bytes of all writes, not their lengths");
  for (const size_t dropped : open) {
    if (open.size() == 1) break;
    visit(Build(at, [&](size_t i) { return i == dropped ? How::kDrop : How::kKeep; }),
          absl::StrCat("effect ", dropped, " on \"", effects_[dropped].name, "\""));
  }
  const Effect& last = effects_[open.back()];
  if (last.kind != Effect::Kind::kWrite) return;
  for (const How torn : {How::kFirst512, How::kFirst4096}) {
    if (last.bytes.size() <= (torn == How::kFirst512 ? 512 : 4096)) continue;
    visit(Build(at, [&](size_t i) { return i == open.back() ? torn : How::kKeep; }),
          "the end of the last write");
  }
}

std::shared_ptr<FaultDisk> FaultDisk::CutPower() const {
  MutexLock lock(&mutex_);
  return Build(now_, [](size_t) { return How::kDrop; });
}

std::map<std::string, std::string> FaultDisk::Files() const {
  MutexLock lock(&mutex_);
  std::map<std::string, std::string> files;
  std::vector<std::pair<size_t, std::string>> directories = {{0, ""}};
  while (!directories.empty()) {
    const auto [directory, prefix] = directories.back();
    directories.pop_back();
    for (const auto& [name, node] : nodes_[directory].names) {
      if (nodes_[node].is_directory) {
        directories.emplace_back(node, absl::StrCat(prefix, name, "/"));
      } else {
        files[prefix + name] = nodes_[node].bytes;
      }
    }
  }
  return files;
}

void FaultDisk::Corrupt(const std::string& path, size_t offset) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<size_t> node = Find(path);
  nodes_[node.value()].bytes.at(offset) ^= 1;
}

absl::StatusOr<size_t> FaultDisk::Find(const std::string& path) const {
  if (path == ".") return size_t{0};
  size_t node = 0;
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(path, '/'))) {
    const auto next = nodes_[node].names.find(part);
    if (next == nodes_[node].names.end()) return absl::NotFoundError(path);
    node = next->second;
  }
  return node;
}

absl::StatusOr<FaultDisk::Place> FaultDisk::FindPlace(const std::string& path) const {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return Place{0, path};
  CHORUS_ASSIGN_OR_RETURN(const size_t directory, Find(path.substr(0, slash)));
  if (!nodes_[directory].is_directory) return absl::FailedPreconditionError(path);
  return Place{directory, path.substr(slash + 1)};
}

std::shared_ptr<FaultDisk> FaultDisk::Copy() const {
  MutexLock lock(&mutex_);
  return Build(now_, [](size_t) { return How::kKeep; });
}

class FaultFile : public WritableFile {
 public:
  FaultFile(std::shared_ptr<FaultDisk> disk, size_t node, int64_t process)
      : disk_(std::move(disk)), node_(node), process_(process) {
    ++disk_->open_files_;
  }
  ~FaultFile() override { --disk_->open_files_; }

  absl::Status Allocate(uint64_t) override {
    MutexLock lock(&disk_->mutex_);
    return disk_->Count("fallocate", false, process_);
  }

  absl::Status Append(std::string_view bytes) override {
    MutexLock lock(&disk_->mutex_);
    const absl::Status status = disk_->Count("write", false, process_);
    if (absl::IsCancelled(status)) return status;
    if (!status.ok() && disk_->fault_ != Fault::kShortWrite) return status;
    if (!status.ok()) bytes = bytes.substr(0, bytes.size() / 2);
    FaultDisk::Effect effect;
    effect.node = node_;
    effect.offset = disk_->nodes_[node_].bytes.size();
    effect.bytes = std::string(bytes);
    disk_->Add(std::move(effect));
    return status;
  }

  absl::Status Sync() override {
    MutexLock lock(&disk_->mutex_);
    const absl::Status status = disk_->Count("fsync", false, process_);
    if (absl::IsCancelled(status)) return status;
    disk_->Sync(
        [this](const auto& effect) {
          return effect.kind == FaultDisk::Effect::Kind::kWrite && effect.node == node_;
        },
        !status.ok(), disk_->options_.ignore_file_sync);
    return status;
  }

  absl::Status Close() override {
    MutexLock lock(&disk_->mutex_);
    return disk_->Count("close", false, process_);
  }

 private:
  const std::shared_ptr<FaultDisk> disk_;
  const size_t node_;
  const int64_t process_;
};

// An open file: its bytes stay when its name goes.
class OpenBytes : public ByteSource {
 public:
  OpenBytes(std::shared_ptr<FaultDisk> disk, std::string bytes)
      : disk_(std::move(disk)), bytes_(std::move(bytes)) {
    ++disk_->open_files_;
  }
  ~OpenBytes() override { --disk_->open_files_; }
  uint64_t size() const override { return bytes_.size(); }
  absl::Status Read(uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      return absl::DataLossError("the file ends early");
    }
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return absl::OkStatus();
  }

 private:
  const std::shared_ptr<FaultDisk> disk_;
  const std::string bytes_;
};

FaultFs::FaultFs(std::shared_ptr<FaultDisk> disk)
    : disk_(std::move(disk)), process_([this] {
        MutexLock lock(&disk_->mutex_);
        return disk_->process_;
      }()) {}

FaultFs::~FaultFs() {
  MutexLock lock(&disk_->mutex_);
  if (holds_lock_ && process_ == disk_->process_) disk_->locked_ = false;
}

absl::Status FaultFs::Lock(const std::string& path) {
  MutexLock lock(&disk_->mutex_);
  CHORUS_RETURN_IF_ERROR(disk_->Count("lock", false, process_));
  if (disk_->locked_) return absl::UnavailableError(absl::StrCat(path, ": locked"));
  disk_->locked_ = holds_lock_ = true;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<WritableFile>> FaultFs::Create(const std::string& path) {
  MutexLock lock(&disk_->mutex_);
  CHORUS_RETURN_IF_ERROR(disk_->Count("create", false, process_));
  CHORUS_ASSIGN_OR_RETURN(FaultDisk::Place place, disk_->FindPlace(path));
  if (disk_->Find(path).ok()) return absl::AlreadyExistsError(path);
  FaultDisk::Effect effect;
  effect.kind = FaultDisk::Effect::Kind::kLink;
  effect.node = disk_->nodes_.size();
  effect.directory = place.directory;
  effect.name = place.name;
  const size_t node = effect.node;
  disk_->Add(std::move(effect));
  return std::make_unique<FaultFile>(disk_, node, process_);
}

absl::StatusOr<std::unique_ptr<ByteSource>> FaultFs::Open(const std::string& path) {
  MutexLock lock(&disk_->mutex_);
  CHORUS_RETURN_IF_ERROR(disk_->Count("open", true, process_));
  CHORUS_ASSIGN_OR_RETURN(const size_t node, disk_->Find(path));
  if (disk_->nodes_[node].is_directory) return absl::FailedPreconditionError(path);
  return std::make_unique<OpenBytes>(disk_, disk_->nodes_[node].bytes);
}

absl::Status FaultFs::Rename(const std::string& from, const std::string& to) {
  MutexLock lock(&disk_->mutex_);
  CHORUS_RETURN_IF_ERROR(disk_->Count("rename", false, process_));
  CHORUS_ASSIGN_OR_RETURN(FaultDisk::Place source, disk_->FindPlace(from));
  CHORUS_ASSIGN_OR_RETURN(FaultDisk::Place target, disk_->FindPlace(to));
  CHORUS_ASSIGN_OR_RETURN(const size_t node, disk_->Find(from));
  FaultDisk::Effect effect;
  effect.kind = FaultDisk::Effect::Kind::kRename;
  effect.node = node;
  effect.directory = target.directory;
  effect.name = target.name;
  effect.from_directory = source.directory;
  effect.from_name = source.name;
  disk_->Add(std::move(effect));
  return absl::OkStatus();
}

absl::Status FaultFs::Unlink(const std::string& path) { return Remove(path, false); }
absl::Status FaultFs::RemoveDirectory(const std::string& path) { return Remove(path, true); }

absl::Status FaultFs::Remove(const std::string& path, bool of_directory) {
  MutexLock lock(&disk_->mutex_);
  CHORUS_RETURN_IF_ERROR(disk_->Count("unlink", false, process_));
  CHORUS_ASSIGN_OR_RETURN(FaultDisk::Place place, disk_->FindPlace(path));
  CHORUS_ASSIGN_OR_RETURN(const size_t node, disk_->Find(path));
  if (disk_->nodes_[node].is_directory != of_directory || !disk_->nodes_[node].names.empty()) {
    return absl::FailedPreconditionError(path);
  }
  FaultDisk::Effect effect;
  effect.kind = FaultDisk::Effect::Kind::kUnlink;
  effect.node = node;
  effect.directory = place.directory;
  effect.name = place.name;
  disk_->Add(std::move(effect));
  return absl::OkStatus();
}

absl::Status FaultFs::MakeDirectory(const std::string& path) {
  MutexLock lock(&disk_->mutex_);
  CHORUS_RETURN_IF_ERROR(disk_->Count("mkdir", false, process_));
  CHORUS_ASSIGN_OR_RETURN(FaultDisk::Place place, disk_->FindPlace(path));
  if (disk_->Find(path).ok()) return absl::AlreadyExistsError(path);
  FaultDisk::Effect effect;
  effect.kind = FaultDisk::Effect::Kind::kLink;
  effect.node = disk_->nodes_.size();
  effect.directory = place.directory;
  effect.name = place.name;
  effect.makes_directory = true;
  disk_->Add(std::move(effect));
  return absl::OkStatus();
}

absl::Status FaultFs::SyncDirectory(const std::string& path) {
  MutexLock lock(&disk_->mutex_);
  CHORUS_ASSIGN_OR_RETURN(const size_t node, disk_->Find(path));
  const absl::Status status = disk_->Count("fsync of a directory", false, process_);
  if (absl::IsCancelled(status)) return status;
  disk_->Sync(
      [node](const auto& effect) {
        return effect.kind != FaultDisk::Effect::Kind::kWrite && effect.directory == node;
      },
      !status.ok(), disk_->options_.ignore_directory_sync);
  return status;
}

absl::StatusOr<std::vector<DirectoryEntry>> FaultFs::List(const std::string& path) {
  MutexLock lock(&disk_->mutex_);
  CHORUS_RETURN_IF_ERROR(disk_->Count("list", true, process_));
  CHORUS_ASSIGN_OR_RETURN(const size_t node, disk_->Find(path));
  std::vector<DirectoryEntry> entries;
  for (const auto& [name, child] : disk_->nodes_[node].names) {
    entries.push_back({name, disk_->nodes_[child].is_directory});
  }
  return entries;
}

absl::StatusOr<FileStat> FaultFs::Stat(const std::string& path) {
  MutexLock lock(&disk_->mutex_);
  CHORUS_RETURN_IF_ERROR(disk_->Count("stat", true, process_));
  CHORUS_ASSIGN_OR_RETURN(const size_t node, disk_->Find(path));
  return FileStat{disk_->nodes_[node].bytes.size(), disk_->nodes_[node].is_directory};
}

absl::Status FaultFs::DropCache(const std::string& path) {
  MutexLock lock(&disk_->mutex_);
  return disk_->Find(path).status();
}

}  // namespace chorus::test
