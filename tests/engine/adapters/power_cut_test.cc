// Power cuts of a real ext4 on a loop device: the writer is stopped, the file system is shut down
// without flushing its log, mounted anew, and the store compared with what was acknowledged. Two
// writers that forget a kind of fsync must lose something, or the test would prove nothing.
//
// Needs root, a loop device and mkfs.ext4; skipped, saying why, where one is missing.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/store_writer.h"

namespace chorus::test {
namespace {

using Clock = std::chrono::steady_clock;

// fs/ext4/ext4.h and uapi/linux/ext4.h
constexpr unsigned long kShutdown = _IOR('X', 125, uint32_t);
constexpr uint32_t kNoLogFlush = 2;
constexpr int kLoopMajor = 7;

bool Shell(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

// An ext4 of its own that can lose its power.
class LoopDisk {
 public:
  LoopDisk() {
    std::string pattern = testing::TempDir() + "chorus_power_XXXXXX";
    if (mkdtemp(pattern.data()) != nullptr) root_ = pattern;
  }
  ~LoopDisk() {
    if (mounted_) Shell("umount " + mount_point());
    std::filesystem::remove_all(root_);
  }

  // Why there is none; empty when there is one.
  std::string Make() {
    if (geteuid() != 0) return "not root";
    if (!std::filesystem::exists("/dev/loop-control")) return "no loop devices";
    std::filesystem::create_directory(mount_point());
    { std::ofstream image(root_ + "/image"); }
    std::filesystem::resize_file(root_ + "/image", 96 << 20);
    if (!Shell("mkfs.ext4 -q -F " + root_ + "/image")) return "mkfs.ext4 failed";
    if (!Mount()) return "mount failed";
    // The real thing, once, before anything relies on it.
    if (!CutPower() || !Unmount() || !Mount()) return "EXT4_IOC_SHUTDOWN is not permitted";
    return "";
  }

  bool Mount() {
    mounted_ = Shell("mount -o loop " + root_ + "/image " + mount_point());
    return mounted_;
  }

  // Loses what the disk does not have; every later call fails. Whoever uses the file system stands
  // still or ends.
  bool CutPower() {
    const int fd = open(mount_point().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat info;
    // Never the machine's own file system: only what lies on a loop device.
    if (fd < 0 || fstat(fd, &info) != 0 || major(info.st_dev) != kLoopMajor) {
      if (fd >= 0) close(fd);
      return false;
    }
    uint32_t flags = kNoLogFlush;
    const bool cut = ioctl(fd, kShutdown, &flags) == 0;
    close(fd);
    return cut;
  }
  bool Unmount() {
    mounted_ = !Shell("umount " + mount_point());
    return !mounted_;
  }

  std::string mount_point() const { return root_ + "/mount"; }

 private:
  std::string root_;
  bool mounted_ = false;
};

struct Outcome {
  int cuts = 0;
  int64_t acked = 0;
  std::vector<std::string> problems;  // of the first cut that lost something
};

// Cuts the power until something is lost, `most` cuts are done or `budget` is used up.
Outcome CutRepeatedly(LoopDisk& disk, const std::string& forget, int most, Clock::duration budget) {
  const std::string store = disk.mount_point() + "/" + forget;
  std::mt19937_64 random{std::random_device()()};
  WriterLog log;
  Outcome outcome;
  const auto begin = Clock::now();
  while (outcome.cuts < most && Clock::now() - begin < budget && outcome.problems.empty()) {
    {
      WriterProcess writer(CHORUS_STORE_WRITER, store, random(), forget);
      writer.WaitForLines(2 + static_cast<int>(random() % 40));
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
      // Stopped first: what it says while the file system goes down would not be true.
      writer.Stop();
      EXPECT_TRUE(disk.CutPower());
      log.Add(writer.Kill());
    }
    EXPECT_TRUE(disk.Unmount() && disk.Mount());
    ++outcome.cuts;
    const auto found = ReadStore(store, &outcome.problems);
    if (!found.ok()) {
      outcome.problems.push_back(found.status().ToString());
    } else if (const auto problem = log.Compare(*found); problem.has_value()) {
      outcome.problems.push_back(*problem);
    }
  }
  outcome.acked = log.num_acked();
  return outcome;
}

class PowerCutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = disk_.Make(); !why.empty()) {
      GTEST_SKIP() << "SKIPPED: no power cuts on this machine: " << why;
    }
  }
  LoopDisk disk_;
};

TEST_F(PowerCutTest, NothingAcknowledgedIsLost) {
  const Outcome outcome = CutRepeatedly(disk_, kForgetNothing, 60, std::chrono::seconds(20));
  std::printf("%d power cuts, %ld acknowledgements\n", outcome.cuts,
              static_cast<long>(outcome.acked));
  EXPECT_THAT(outcome.problems, testing::IsEmpty());
  EXPECT_GT(outcome.cuts, 5);
}

TEST_F(PowerCutTest, AStoreThatForgetsToSyncFilesLoses) {
  const Outcome outcome = CutRepeatedly(disk_, kForgetFiles, 200, std::chrono::seconds(60));
  std::printf("lost after %d power cuts, %ld acknowledgements\n", outcome.cuts,
              static_cast<long>(outcome.acked));
  EXPECT_FALSE(outcome.problems.empty());
}

TEST_F(PowerCutTest, AStoreThatForgetsToSyncDirectoriesLoses) {
  const Outcome outcome = CutRepeatedly(disk_, kForgetDirectories, 200, std::chrono::seconds(60));
  std::printf("lost after %d power cuts, %ld acknowledgements\n", outcome.cuts,
              static_cast<long>(outcome.acked));
  EXPECT_FALSE(outcome.problems.empty());
}

}  // namespace
}  // namespace chorus::test
