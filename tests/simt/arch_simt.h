// SimtArch: what kernel bodies call when a test compiles them with g++. The calls are CudaArch's
// (kernels/device/arch_cuda.cuh says what they mean); SimtBlock runs them and checks them.
#ifndef CHORUS_TESTS_SIMT_ARCH_SIMT_H_
#define CHORUS_TESTS_SIMT_ARCH_SIMT_H_

#include <bit>
#include <cmath>

#include "kernels/device/device_code.h"
#include "kernels/device/dtype.h"
#include "tests/simt/simt_block.h"
#include "tests/simt/simt_span.h"

#define CHORUS_SITE int line = __builtin_LINE(), const char *file = __builtin_FILE()

namespace chorus::kernels {

class SimtArch;
template <class T>
SimtSpan<T> Shared(const SimtArch& arch, int offset, int count, CHORUS_SITE);

class SimtArch {
 public:
  explicit SimtArch(SimtBlock& block) : block_(block), thread_(block.thread()) {}

  int Thread() const { return thread_; }
  int Lane() const { return thread_ % kWarpThreads; }
  int Warp() const { return thread_ / kWarpThreads; }
  int Threads() const { return block_.num_threads(); }
  int Block() const { return block_.block(); }
  int Grid() const { return block_.num_blocks(); }

  void Sync(CHORUS_SITE) { block_.Sync({file, line}); }
  void SyncWarp(CHORUS_SITE) { block_.SyncWarp({file, line}); }
  bool Guard(bool condition, CHORUS_SITE) {
    return block_.TakenAway(SiteKind::kGuard, {file, line}) || condition;
  }

  int ClusterBlock() const { return block_.cluster_block(); }
  int ClusterBlocks() const { return block_.cluster_blocks(); }
  void ClusterSync(CHORUS_SITE) { block_.ClusterSync({file, line}); }
  template <class T>
  SimtRemoteSpan<T> Remote(const SimtSpan<T>& span, int block, CHORUS_SITE) const {
    if (span.region_ != nullptr) {
      block_.Fail("Remote at %s:%d is not of shared memory", FileName(file), line);
    }
    return {block_, span, block};
  }

  void WaitForPrior(CHORUS_SITE) { block_.WaitForPrior({file, line}); }
  void LetNextBegin(CHORUS_SITE) { block_.LetNextBegin({file, line}); }

  uint32_t Shfl(uint32_t value, int lane, CHORUS_SITE) {
    return block_.Shfl(value, lane, {file, line});
  }
  float ShflXor(float value, int mask, CHORUS_SITE) {
    return std::bit_cast<float>(
        block_.Shfl(std::bit_cast<uint32_t>(value), Lane() ^ mask, {file, line}));
  }
  uint32_t Ballot(bool value, CHORUS_SITE) { return block_.Ballot(value, {file, line}); }

  template <class T>
  SimtSpan<T> Global(T* data, int64_t count, CHORUS_SITE) const {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    SimtRegion* const region = block_.Global(data, bytes, {file, line});
    return {block_, region, data, data == nullptr ? 0 : count};
  }

  template <class T>
  void Mma16816(T, float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                uint32_t b1, CHORUS_SITE) {
    block_.Mma(TypeOf(T{}), 16, {d, {a0, a1, a2, a3}, {b0, b1}}, {file, line});
  }
  template <class T>
  void Mma1688(T, float (&d)[4], uint32_t a0, uint32_t a1, uint32_t b0, CHORUS_SITE) {
    block_.Mma(TypeOf(T{}), 8, {d, {a0, a1, 0, 0}, {b0, 0}}, {file, line});
  }

  template <class T>
  uint32_t Pack(T, float low, float high) const {
    return Round<T>(low) | uint32_t{Round<T>(high)} << 16;
  }
  template <class T>
  F2 Unpack(T, uint32_t packed) const {
    return {T{static_cast<uint16_t>(packed)}.ToFloat(),
            T{static_cast<uint16_t>(packed >> 16)}.ToFloat()};
  }

  float Exp(float x) const { return std::exp(x); }
  float Log(float x) const { return std::log(x); }
  float Rsqrt(float x) const { return 1.0f / std::sqrt(x); }

  int32_t AtomicAdd(const SimtSpan<int32_t>& to, int64_t i, int32_t value, CHORUS_SITE) {
    auto* const at = static_cast<int32_t*>(to.At(i, 4, 4, Access::kAtomic, {file, line}));
    const int32_t before = *at;
    *at = static_cast<int32_t>(static_cast<uint32_t>(before) + static_cast<uint32_t>(value));
    return before;
  }
  uint32_t AtomicMax(const SimtSpan<uint32_t>& to, int64_t i, uint32_t value, CHORUS_SITE) {
    auto* const at = static_cast<uint32_t*>(to.At(i, 4, 4, Access::kAtomic, {file, line}));
    const uint32_t before = *at;
    *at = Max(before, value);
    return before;
  }

  template <class To, class From>
  void CopyAsync16(const SimtSpan<To>& to, int64_t i, const SimtSpan<From>& from, int64_t j,
                   CHORUS_SITE) {
    if (to.region_ != nullptr || from.region_ == nullptr) {
      block_.Fail("CopyAsync16 at %s:%d is not from global to shared memory", FileName(file), line);
    }
    const void* const source = from.At(j, 16, 16, Access::kRead, {file, line});
    block_.CopyAsync16(to.At(i, 16, 16, Access::kWrite, {file, line}), source);
  }
  void CopyCommit(CHORUS_SITE) { block_.CopyCommit({file, line}); }
  void CopyWait(int groups, CHORUS_SITE) { block_.CopyWait(groups, {file, line}); }

  void BarInit(const SimtSpan<uint64_t>& bars, int64_t i, int count, CHORUS_SITE) {
    std::byte* const bar = Bar(bars, i, {file, line});
    bars.Touch(Access::kWrite, i, 8, {file, line});
    block_.BarInit(bar, count, {file, line});
  }
  void BarFence(CHORUS_SITE) { block_.BarFence({file, line}); }
  void BarArrive(const SimtSpan<uint64_t>& bars, int64_t i, CHORUS_SITE) {
    block_.BarArrive(Bar(bars, i, {file, line}), 0, {file, line});
  }
  void BarArriveExpect(const SimtSpan<uint64_t>& bars, int64_t i, int bytes, CHORUS_SITE) {
    block_.BarArrive(Bar(bars, i, {file, line}), bytes, {file, line});
  }
  void BarWait(const SimtSpan<uint64_t>& bars, int64_t i, uint32_t parity, CHORUS_SITE) {
    block_.BarWait(Bar(bars, i, {file, line}), parity, {file, line});
  }
  template <class To, class From>
  void Bulk(const SimtSpan<To>& to, int64_t i, const SimtSpan<From>& from, int64_t j, int bytes,
            const SimtSpan<uint64_t>& bars, int64_t k, CHORUS_SITE) {
    if (to.region_ != nullptr || from.region_ == nullptr) {
      block_.Fail("Bulk at %s:%d is not from global to shared memory", FileName(file), line);
    }
    if (bytes <= 0 || bytes % 16 != 0) {
      block_.Fail("Bulk at %s:%d is of %d bytes", FileName(file), line, bytes);
    }
    const void* const source = from.At(j, bytes, 16, Access::kRead, {file, line});
    void* const target = to.Locate(i, bytes, 16, {file, line});
    block_.Bulk(target, source, bytes, Bar(bars, k, {file, line}), {file, line});
  }

 private:
  template <class T>
  friend SimtSpan<T> Shared(const SimtArch&, int, int, int, const char*);

  static constexpr DType TypeOf(Bf16) { return DType::kBf16; }
  static constexpr DType TypeOf(F16) { return DType::kF16; }
  // As the GPU's conversion, which has one NaN.
  template <class T>
  static uint16_t Round(float value) {
    return std::isnan(value) ? uint16_t{0x7fff} : T::FromFloat(value).bits;
  }

  std::byte* Bar(const SimtSpan<uint64_t>& bars, int64_t i, Place place) {
    if (bars.region_ != nullptr) {
      block_.Fail("the mbarriers at %s:%d are not in shared memory", FileName(place.file),
                  place.line);
    }
    return static_cast<std::byte*>(bars.Locate(i, 8, 8, place));
  }

  SimtBlock& block_;
  const int thread_;
};

template <class T>
SimtSpan<T> Shared(const SimtArch& arch, int offset, int count, int line, const char* file) {
  std::byte* const data =
      arch.block_.Shared(offset, int64_t{count} * int64_t{sizeof(T)}, alignof(T), {file, line});
  return {arch.block_, nullptr, reinterpret_cast<T*>(data), count};
}

}  // namespace chorus::kernels

#undef CHORUS_SITE

#endif  // CHORUS_TESTS_SIMT_ARCH_SIMT_H_
