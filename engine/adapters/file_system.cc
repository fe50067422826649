#include "engine/adapters/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr long kTmpfsMagic = 0x01021994;
constexpr long kRamfsMagic = 0x858458f6;
constexpr long kOverlayfsMagic = 0x794c7630;

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case EFBIG:
      return absl::StatusCode::kResourceExhausted;
    case ELOOP:
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case EXDEV:
      return absl::StatusCode::kFailedPrecondition;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

absl::Status Failed(const char* call, const std::string& path, int error) {
  return absl::Status(CodeOf(error), absl::StrCat(call, " ", path, ": ", strerror(error)));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

class RealWritableFile : public WritableFile {
 public:
  RealWritableFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::Status Allocate(uint64_t bytes) override {
    if (bytes == 0) return absl::OkStatus();
    const int mode = FALLOC_FL_KEEP_SIZE;
    int result;
    do {
      result = fallocate(fd_.get(), mode, 0, static_cast<off_t>(bytes));
    } while (result != 0 && errno == EINTR);
    // A file system without the call finds out while it writes.
    if (result != 0 && errno != EOPNOTSUPP && errno != ENOSYS) {
      return Failed("fallocate", path_, errno);
    }
    return absl::OkStatus();
  }

  absl::Status Append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t wrote = write(fd_.get(), bytes.data(), bytes.size());
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return Failed("write", path_, errno);
      bytes.remove_prefix(static_cast<size_t>(wrote));
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    return fsync(fd_.get()) == 0 ? absl::OkStatus() : Failed("fsync", path_, errno);
  }

  absl::Status Close() override {
    // After EINTR the descriptor is gone on Linux: closing again could hit another thread's.
    return close(fd_.Release()) == 0 ? absl::OkStatus() : Failed("close", path_, errno);
  }

 private:
  Descriptor fd_;
  const std::string path_;
};

class RealByteSource : public ByteSource {
 public:
  RealByteSource(Descriptor fd, uint64_t size, std::string path)
      : fd_(std::move(fd)), size_(size), path_(std::move(path)) {}

  uint64_t size() const override { return size_; }

  absl::Status Read(uint64_t offset, std::span<std::byte> out) const override {
    while (!out.empty()) {
      const ssize_t got = pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        return absl::DataLossError(absl::StrCat("read ", path_, ": ", strerror(errno)));
      }
      if (got == 0) {
        return absl::DataLossError(absl::StrCat(path_, ": expected ", out.size(),
                                                " more bytes, got the end at byte ", offset));
      }
      offset += static_cast<uint64_t>(got);
      out = out.subspan(static_cast<size_t>(got));
    }
    return absl::OkStatus();
  }

 private:
  const Descriptor fd_;
  const uint64_t size_;
  const std::string path_;
};

class RealFileSystem : public FileSystem {
 public:
  explicit RealFileSystem(Descriptor root) : root_(std::move(root)) {}

  absl::Status Lock(const std::string& path) override {
    CHORUS_ASSIGN_OR_RETURN(Place place, Find(path));
    Descriptor fd(openat(place.directory.get(), place.name.c_str(),
                         O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd.get() < 0) return Failed("open", path, errno);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return Failed("flock", path, errno);
      return absl::UnavailableError(absl::StrCat(path, ": another process holds the lock"));
    }
    lock_ = std::move(fd);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    CHORUS_ASSIGN_OR_RETURN(Place place, Find(path));
    Descriptor fd(openat(place.directory.get(), place.name.c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd.get() < 0) return Failed("create", path, errno);
    return std::make_unique<RealWritableFile>(std::move(fd), path);
  }

  absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path) override {
    CHORUS_ASSIGN_OR_RETURN(Place place, Find(path));
    // Without O_NONBLOCK a planted FIFO would hold us.
    Descriptor fd(openat(place.directory.get(), place.name.c_str(),
                         O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (fd.get() < 0) return Failed("open", path, errno);
    struct stat info;
    if (fstat(fd.get(), &info) != 0) return Failed("stat", path, errno);
    if (!S_ISREG(info.st_mode)) {
      return absl::FailedPreconditionError(absl::StrCat("open ", path, ": not a regular file"));
    }
    return std::make_unique<RealByteSource>(std::move(fd), static_cast<uint64_t>(info.st_size),
                                            path);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    CHORUS_ASSIGN_OR_RETURN(Place source, Find(from));
    CHORUS_ASSIGN_OR_RETURN(Place target, Find(to));
    if (renameat(source.directory.get(), source.name.c_str(), target.directory.get(),
                 target.name.c_str()) != 0) {
      return Failed("rename", absl::StrCat(from, " to ", to), errno);
    }
    return absl::OkStatus();
  }

  absl::Status Unlink(const std::string& path) override { return UnlinkAt(path, 0, "unlink"); }

  absl::Status MakeDirectory(const std::string& path) override {
    CHORUS_ASSIGN_OR_RETURN(Place place, Find(path));
    if (mkdirat(place.directory.get(), place.name.c_str(), 0700) != 0) {
      return Failed("mkdir", path, errno);
    }
    return absl::OkStatus();
  }

  absl::Status RemoveDirectory(const std::string& path) override {
    return UnlinkAt(path, AT_REMOVEDIR, "rmdir");
  }

  absl::Status SyncDirectory(const std::string& path) override {
    CHORUS_ASSIGN_OR_RETURN(Descriptor directory, OpenDirectory(path));
    return fsync(directory.get()) == 0 ? absl::OkStatus() : Failed("fsync", path, errno);
  }

  absl::StatusOr<std::vector<DirectoryEntry>> List(const std::string& path) override {
    CHORUS_ASSIGN_OR_RETURN(Descriptor directory, OpenDirectory(path));
    DIR* const stream = fdopendir(directory.get());
    if (stream == nullptr) return Failed("list", path, errno);
    directory.Release();  // the stream's now
    std::vector<DirectoryEntry> entries;
    errno = 0;
    while (const dirent* entry = readdir(stream)) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      bool is_directory = entry->d_type == DT_DIR;
      if (entry->d_type == DT_UNKNOWN) {
        struct stat info;
        is_directory = fstatat(dirfd(stream), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                       S_ISDIR(info.st_mode);
      }
      entries.push_back({name, is_directory});
      errno = 0;
    }
    const int error = errno;
    closedir(stream);
    if (error != 0) return Failed("list", path, error);
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
  }

  absl::StatusOr<FileStat> Stat(const std::string& path) override {
    CHORUS_ASSIGN_OR_RETURN(Place place, Find(path));
    struct stat info;
    if (fstatat(place.directory.get(), place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return Failed("stat", path, errno);
    }
    if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
      return absl::FailedPreconditionError(absl::StrCat("stat ", path, ": not a regular file"));
    }
    return FileStat{static_cast<uint64_t>(info.st_size), S_ISDIR(info.st_mode)};
  }

  absl::Status DropCache(const std::string& path) override {
    CHORUS_ASSIGN_OR_RETURN(Place place, Find(path));
    Descriptor fd(openat(place.directory.get(), place.name.c_str(),
                         O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (fd.get() < 0) return Failed("open", path, errno);
    const int error = posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
    return error == 0 ? absl::OkStatus() : Failed("fadvise", path, error);
  }

  absl::StatusOr<uint64_t> FreeBytes() override {
    struct statvfs info;
    if (fstatvfs(root_.get(), &info) != 0) return Failed("statvfs", ".", errno);
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }

  absl::StatusOr<std::string> VolatileKind() override {
    struct statfs info;
    if (fstatfs(root_.get(), &info) != 0) return Failed("statfs", ".", errno);
    switch (static_cast<long>(info.f_type)) {
      case kTmpfsMagic:
        return std::string("tmpfs");
      case kRamfsMagic:
        return std::string("ramfs");
      case kOverlayfsMagic:
        return std::string("overlayfs");
      default:
        return std::string();
    }
  }

 private:
  // The last component of a path and the directory that holds it.
  struct Place {
    Descriptor directory;
    std::string name;
  };

  absl::StatusOr<Descriptor> OpenDirectory(const std::string& path) const {
    Descriptor at(openat(root_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (at.get() < 0) return Failed("open", ".", errno);
    if (path == "." || path.empty()) return at;
    for (absl::string_view part : absl::StrSplit(path, '/')) {
      if (part.empty() || part == "." || part == "..") {
        return absl::InternalError(absl::StrCat("path ", path, ": not one of ours"));
      }
      Descriptor next(openat(at.get(), std::string(part).c_str(),
                             O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
      if (next.get() < 0) return Failed("open", path, errno);
      at = std::move(next);
    }
    return at;
  }

  absl::StatusOr<Place> Find(const std::string& path) const {
    const size_t slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    if (name.empty() || name == "." || name == "..") {
      return absl::InternalError(absl::StrCat("path ", path, ": not one of ours"));
    }
    CHORUS_ASSIGN_OR_RETURN(
        Descriptor directory,
        OpenDirectory(slash == std::string::npos ? "." : path.substr(0, slash)));
    return Place{std::move(directory), name};
  }

  absl::Status UnlinkAt(const std::string& path, int flags, const char* call) {
    CHORUS_ASSIGN_OR_RETURN(Place place, Find(path));
    if (unlinkat(place.directory.get(), place.name.c_str(), flags) != 0) {
      return Failed(call, path, errno);
    }
    return absl::OkStatus();
  }

  const Descriptor root_;
  Descriptor lock_{-1};
};

}  // namespace

absl::StatusOr<std::unique_ptr<FileSystem>> OpenFileSystem(const std::string& root) {
  if (mkdir(root.c_str(), 0700) == 0) {
    const size_t slash = root.find_last_not_of('/') == std::string::npos
                             ? std::string::npos
                             : root.rfind('/', root.find_last_not_of('/'));
    const std::string parent = slash == std::string::npos ? "." : root.substr(0, slash + 1);
    const Descriptor above(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (above.get() < 0 || fsync(above.get()) != 0) return Failed("fsync", parent, errno);
  } else if (errno != EEXIST) {
    return Failed("mkdir", root, errno);
  }
  Descriptor directory(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return Failed("open", root, errno);
  return std::make_unique<RealFileSystem>(std::move(directory));
}

}  // namespace chorus::engine
