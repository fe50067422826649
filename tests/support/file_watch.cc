#include "tests/support/file_watch.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <vector>

namespace chorus::test {
namespace {

std::atomic<int64_t> num_calls{0};
std::atomic<int> last_number{-1};

constexpr int kFileCalls[] = {SYS_open,       SYS_openat,    SYS_openat2,
                              SYS_creat,      SYS_read,      SYS_pread64,
                              SYS_readv,      SYS_preadv,    SYS_preadv2,
                              SYS_write,      SYS_pwrite64,  SYS_writev,
                              SYS_pwritev,    SYS_pwritev2,  SYS_fsync,
                              SYS_fdatasync,  SYS_syncfs,    SYS_sync_file_range,
                              SYS_stat,       SYS_fstat,     SYS_lstat,
                              SYS_newfstatat, SYS_statx,     SYS_statfs,
                              SYS_fstatfs,    SYS_access,    SYS_faccessat,
                              SYS_faccessat2, SYS_lseek,     SYS_rename,
                              SYS_renameat,   SYS_renameat2, SYS_unlink,
                              SYS_unlinkat,   SYS_mkdir,     SYS_mkdirat,
                              SYS_rmdir,      SYS_link,      SYS_linkat,
                              SYS_symlink,    SYS_symlinkat, SYS_getdents,
                              SYS_getdents64, SYS_truncate,  SYS_ftruncate,
                              SYS_fallocate,  SYS_fadvise64, SYS_readahead,
                              SYS_flock,      SYS_sendfile,  SYS_copy_file_range,
                              SYS_close};

// The C library's allocator asks this once in a process, whichever thread it happens to be on.
constexpr char kAllocatorsQuestion[] = "/proc/sys/vm/overcommit_memory";

void Count(int /*signal*/, siginfo_t* info, void* context) {
  auto* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (info->si_syscall != SYS_openat ||
      std::strcmp(reinterpret_cast<const char*>(registers[REG_RSI]), kAllocatorsQuestion) != 0) {
    ++num_calls;
    last_number = info->si_syscall;
  }
  registers[REG_RAX] = -ENOSYS;
}

}  // namespace

bool FileWatch::WatchThisThread() {
  struct sigaction action = {};
  action.sa_sigaction = Count;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGSYS, &action, nullptr) != 0) return false;
  std::vector<sock_filter> filter;
  filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  for (size_t i = 0; i < std::size(kFileCalls); ++i) {  // each match jumps to the trap
    const auto to_trap = static_cast<uint8_t>(std::size(kFileCalls) - i);
    filter.push_back(
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(kFileCalls[i]), to_trap, 0));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
  sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

int64_t FileWatch::calls() { return num_calls; }
int FileWatch::last_call() { return last_number; }

}  // namespace chorus::test
