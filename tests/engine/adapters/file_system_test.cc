// The real file system under the store: names stay below the root, links are not followed, short
// writes are finished, and errors have their codes.
#include "engine/adapters/file_system.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

using ::testing::ElementsAre;

class FileSystemTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "chorus_file_system_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    files_ = *OpenFileSystem(root_ + "/store");
  }
  void TearDown() override {
    files_.reset();
    std::filesystem::remove_all(root_);
  }

  absl::Status Write(const std::string& path, const std::string& bytes) {
    auto file = files_->Create(path);
    if (!file.ok()) return file.status();
    absl::Status status = (*file)->Append(bytes);
    if (status.ok()) status = (*file)->Sync();
    if (status.ok()) status = (*file)->Close();
    return status;
  }
  std::string Read(const std::string& path) {
    const auto file = files_->Open(path);
    if (!file.ok()) return file.status().ToString();
    std::string bytes((*file)->size(), '\0');
    const absl::Status read = (*file)->Read(0, std::as_writable_bytes(std::span(bytes)));
    return read.ok() ? bytes : read.ToString();
  }
  absl::StatusCode OpenCode(const std::string& path) { return files_->Open(path).status().code(); }

  std::string root_;
  std::unique_ptr<FileSystem> files_;
};

TEST_F(FileSystemTest, WritesReadsRenamesAndLists) {
  ASSERT_TRUE(files_->MakeDirectory("d").ok());
  ASSERT_TRUE(Write("d/b", "bytes").ok());
  ASSERT_TRUE(Write("d/a", "").ok());
  EXPECT_EQ(Read("d/b"), "bytes");
  EXPECT_EQ(files_->Stat("d/b")->bytes, 5u);
  EXPECT_TRUE(files_->Stat("d")->is_directory);
  ASSERT_TRUE(files_->Rename("d/b", "d/a").ok());  // over the other
  EXPECT_EQ(Read("d/a"), "bytes");
  ASSERT_TRUE(files_->SyncDirectory("d").ok());
  ASSERT_TRUE(files_->SyncDirectory(".").ok());
  ASSERT_TRUE(files_->DropCache("d/a").ok());
  std::vector<std::string> names;
  ASSERT_TRUE(Write("d/z", "").ok());
  const auto entries = files_->List("d");
  ASSERT_TRUE(entries.ok());
  for (const DirectoryEntry& entry : *entries) names.push_back(entry.name);
  EXPECT_THAT(names, ElementsAre("a", "z"));
  struct stat info;
  ASSERT_EQ(stat((root_ + "/store/d/a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(FileSystemTest, ErrorsHaveTheirCodes) {
  ASSERT_TRUE(files_->MakeDirectory("d").ok());
  ASSERT_TRUE(Write("d/a", "x").ok());
  EXPECT_EQ(files_->Create("d/a").status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(files_->MakeDirectory("d").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(OpenCode("d/b"), absl::StatusCode::kNotFound);
  EXPECT_EQ(OpenCode("e/b"), absl::StatusCode::kNotFound);
  EXPECT_EQ(OpenCode("d"), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(OpenCode("d/a/b"), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(files_->Stat("d/b").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_->Unlink("d/b").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_->Rename("d/b", "d/c").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_->RemoveDirectory("d").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(files_->SyncDirectory("e").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_->List("e").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(OpenFileSystem(root_ + "/no/such").ok());
}

TEST_F(FileSystemTest, PathsThatLeadOutAreNotOurs) {
  ASSERT_TRUE(files_->MakeDirectory("d").ok());
  for (const std::string& path :
       {std::string("../x"), std::string("d/../x"), std::string("/etc/passwd"), std::string("d//x"),
        std::string("d/./x"), std::string(".."), std::string()}) {
    EXPECT_EQ(OpenCode(path), absl::StatusCode::kInternal) << path;
    EXPECT_EQ(files_->Create(path).status().code(), absl::StatusCode::kInternal) << path;
  }
}

TEST_F(FileSystemTest, LinksAndPipesAreNotFollowed) {
  const std::string store = root_ + "/store/";
  ASSERT_TRUE(files_->MakeDirectory("d").ok());
  ASSERT_TRUE(Write("d/a", "inside").ok());
  ASSERT_EQ(symlink("d/a", (store + "link").c_str()), 0);
  ASSERT_EQ(symlink("d", (store + "linked").c_str()), 0);
  ASSERT_EQ(mkfifo((store + "pipe").c_str(), 0600), 0);
  for (const std::string& path :
       {std::string("link"), std::string("linked/a"), std::string("pipe")}) {
    EXPECT_EQ(OpenCode(path), absl::StatusCode::kFailedPrecondition) << path;
  }
  EXPECT_EQ(files_->Stat("pipe").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(files_->Stat("link").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(files_->Create("link").ok());
  // What is not followed can be removed.
  EXPECT_TRUE(files_->Unlink("link").ok());
  EXPECT_EQ(Read("d/a"), "inside");
}

TEST_F(FileSystemTest, OneHolderOfTheLock) {
  ASSERT_TRUE(files_->Lock("LOCK").ok());
  auto second = OpenFileSystem(root_ + "/store");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ((*second)->Lock("LOCK").code(), absl::StatusCode::kUnavailable);
  files_.reset();
  EXPECT_TRUE((*second)->Lock("LOCK").ok());
}

TEST_F(FileSystemTest, WhatIsOpenStaysReadable) {
  ASSERT_TRUE(Write("a", "old").ok());
  const auto open = files_->Open("a");
  ASSERT_TRUE(open.ok());
  ASSERT_TRUE(files_->Unlink("a").ok());
  std::string bytes(3, '\0');
  EXPECT_TRUE((*open)->Read(0, std::as_writable_bytes(std::span(bytes))).ok());
  EXPECT_EQ(bytes, "old");
  std::string more(4, '\0');
  EXPECT_EQ((*open)->Read(0, std::as_writable_bytes(std::span(more))).code(),
            absl::StatusCode::kDataLoss);
}

// The kernel writes up to the limit, which is a short write, and refuses the rest.
TEST_F(FileSystemTest, AShortWriteIsGoneOnWith) {
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto ignored = signal(SIGXFSZ, SIG_IGN);
  const rlimit small{10000, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  auto file = files_->Create("a");
  const absl::Status first = (*file)->Append(std::string(6000, 'x'));
  const absl::Status second = (*file)->Append(std::string(6000, 'y'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  signal(SIGXFSZ, ignored);
  EXPECT_TRUE(first.ok()) << first;
  EXPECT_EQ(second.code(), absl::StatusCode::kResourceExhausted) << second;
  EXPECT_EQ(files_->Stat("a")->bytes, 10000u);
}

TEST_F(FileSystemTest, AllocateReservesWithoutChangingTheSize) {
  auto file = files_->Create("a");
  ASSERT_TRUE((*file)->Allocate(1 << 20).ok());
  ASSERT_TRUE((*file)->Allocate(0).ok());
  ASSERT_TRUE((*file)->Append("x").ok());
  EXPECT_EQ(files_->Stat("a")->bytes, 1u);
  EXPECT_EQ((*file)->Allocate(uint64_t{1} << 62).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(FileSystemTest, KnowsHowMuchIsFreeAndWhatForgets) {
  EXPECT_GT(*files_->FreeBytes(), 0u);
  EXPECT_TRUE(files_->VolatileKind().ok());
  if (!std::filesystem::exists("/dev/shm")) GTEST_SKIP() << "no tmpfs here";
  std::string pattern = "/dev/shm/chorus_XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) GTEST_SKIP() << "no tmpfs here";
  EXPECT_EQ(*(*OpenFileSystem(pattern))->VolatileKind(), "tmpfs");
  rmdir(pattern.c_str());
}

}  // namespace
}  // namespace chorus::engine
