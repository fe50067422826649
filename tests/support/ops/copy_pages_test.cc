// CopyPages on the SIMT executor or a GPU: whole cells in every slab, ids near the ends of a large
// pool.
#include <cstring>
#include <set>

#include "gtest/gtest.h"
#include "kernels/copy/copy_pages_kernel.h"
#include "tests/support/ops/op_case.h"

namespace chorus::test {
namespace {

using namespace kernels;  // NOLINT: this is about them

struct CopyCase {
  int64_t num_ids = 8;
  int32_t num_slabs = 2;
  int64_t cell_bytes = 512;
  std::vector<PageCopy> copies;
  int blocks = 3;
  int spare = 2;  // entries behind the last that must not be read as copies
};

class CopyRun {
 public:
  explicit CopyRun(const CopyCase& c)
      : c_(c),
        pool_(c.num_ids * c.num_slabs * c.cell_bytes),
        copies_(c.copies),
        count_{static_cast<int32_t>(c.copies.size())} {
    copies_.resize(copies_.size() + static_cast<size_t>(c.spare), PageCopy{-1, -1});
    for (const int64_t id : Ids()) Fill(id);
    memory_.AddBytes("pool", pool_.data(), pool_.bytes(), SimtUse::kReadWrite, 4);
    AddInput(memory_, "copies", copies_);
    AddInput(memory_, "count", count_);
  }

  // "" or what failed.
  std::string Run(const SimtOptions& options) {
    const CopyPagesParams params{.pool = pool_.data(),
                                 .num_ids = c_.num_ids,
                                 .cell_bytes = c_.cell_bytes,
                                 .copies = copies_.data(),
                                 .count = count_.data(),
                                 .num_slabs = c_.num_slabs,
                                 .capacity = static_cast<int32_t>(copies_.size())};
    const std::string failure = RunOp(kCopyPages, c_.blocks, 0, params, memory_, options);
    return failure.empty() ? WrongByte() : failure;
  }

 private:
  // The ids that are copied, and their neighbours.
  std::set<int64_t> Ids() const {
    std::set<int64_t> ids;
    for (const PageCopy& copy : c_.copies) {
      for (const int64_t id : {copy.from, copy.to}) {
        for (int64_t near = id - 1; near <= id + 1; ++near) {
          if (near >= 0 && near < c_.num_ids) ids.insert(near);
        }
      }
    }
    return ids;
  }

  static uint64_t Word(int64_t id, int32_t slab, int64_t i) {
    return CounterHash(static_cast<uint64_t>(id * 131 + slab), static_cast<uint64_t>(i));
  }
  std::byte* At(int64_t id, int32_t slab) const {
    return pool_.data() + (slab * c_.num_ids + id) * c_.cell_bytes;
  }
  void Fill(int64_t id) const {
    for (int32_t slab = 0; slab < c_.num_slabs; ++slab) {
      for (int64_t i = 0; i < c_.cell_bytes / 8; ++i) {
        const uint64_t word = Word(id, slab, i);
        std::memcpy(At(id, slab) + 8 * i, &word, 8);
      }
    }
  }

  std::string WrongByte() const {
    for (const int64_t id : Ids()) {
      int64_t source = id;
      for (const PageCopy& copy : c_.copies) source = copy.to == id ? copy.from : source;
      for (int32_t slab = 0; slab < c_.num_slabs; ++slab) {
        for (int64_t i = 0; i < c_.cell_bytes / 8; ++i) {
          uint64_t word;
          std::memcpy(&word, At(id, slab) + 8 * i, 8);
          if (word == Word(source, slab, i)) continue;
          return absl::StrCat("page ", id, " of slab ", slab, " differs at byte ", 8 * i);
        }
      }
    }
    return "";
  }

  const CopyCase& c_;
  const AddressSpace pool_;
  std::vector<PageCopy> copies_;
  const std::vector<int32_t> count_;
  SimtMemory memory_;
};

std::string RunCopy(const CopyCase& c, const SimtOptions& options) {
  return CopyRun(c).Run(options);
}

void ExpectCopiesInEveryOrder(const CopyCase& c) {
  for (const SimtOptions& options : EveryOrder(3)) {
    EXPECT_EQ(RunCopy(c, options), "") << c.cell_bytes << " bytes, " << Name(options);
  }
}

class CopyPagesOpTest : public OpTest {};

TEST_F(CopyPagesOpTest, CellsOfEverySize) {
  for (const int64_t cell_bytes : {512, 4608, 16384, 16896, 20480, 40960}) {
    for (const int blocks : {1, 3, 100}) {
      ExpectCopiesInEveryOrder(
          {.cell_bytes = cell_bytes, .copies = {{0, 7}, {5, 2}, {5, 3}}, .blocks = blocks});
    }
  }
}

TEST_F(CopyPagesOpTest, NoCopiesAtAll) { ExpectCopiesInEveryOrder({.num_slabs = 3}); }

TEST_F(CopyPagesOpTest, IdsNearTheEndOfSixteenGibibytes) {
  if (!Fits(int64_t{17} << 30)) GTEST_SKIP() << "needs 17 GiB";
  constexpr int64_t kIds = (int64_t{16} << 30) / 4 / 16384;
  constexpr auto kLast = static_cast<int32_t>(kIds - 1);
  ExpectCopiesInEveryOrder({.num_ids = kIds,
                            .num_slabs = 4,
                            .cell_bytes = 16384,
                            .copies = {{kLast, 1}, {0, kLast - 1}, {kLast - 7, kLast - 9}}});
}

TEST_F(CopyPagesOpTest, EverySiteIsMissed) {
  // The last page of the last slab ends where the pool does.
  ExpectEverySiteIsMissed(
      [](const SimtOptions& options) {
        return RunCopy({.cell_bytes = 16896, .copies = {{7, 1}, {3, 5}}, .blocks = 2}, options);
      },
      2);
}

}  // namespace
}  // namespace chorus::test
