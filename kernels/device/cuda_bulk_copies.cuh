// Bulk copies and the mbarriers that they complete on: a part of CudaArch. They need compute
// capability 9.0; on older GPUs every call traps, so that kernels compile for those too. PTX ISA,
// "Parallel Synchronization and Communication Instructions: mbarrier", and "cp.async.bulk".
//
// An mbarrier is a word of shared memory. Its phase is over when all its arrivals have come, and
// all bytes that they announced; then the next begins. The first has parity 0, the next 1, and so
// on in turn.
//
//   if (arch.Thread() == 0) {
//     arch.BarInit(bars, 0, 1);
//     arch.BarFence();
//   }
//   arch.Sync();
//   if (arch.Thread() == 0) {
//     arch.BarArriveExpect(bars, 0, 4096);
//     arch.Bulk(ring, 0, weights, at, 4096, bars, 0);
//   }
//   arch.BarWait(bars, 0, 0);  // who reads the bytes; or one thread, then Sync or SyncWarp
//
// Between the last use of the bytes by anybody and a copy over them stands a Sync; who stored to
// them calls BarFence before it. To the SIMT executor, arrivals and waits order nothing but the
// bytes of copies: order everything else by Sync.
#ifndef CHORUS_KERNELS_DEVICE_CUDA_BULK_COPIES_CUH_
#define CHORUS_KERNELS_DEVICE_CUDA_BULK_COPIES_CUH_

#include "kernels/device/cuda_span.cuh"
#include "kernels/device/device_code.h"

#define CHORUS_SITE int = __builtin_LINE(), const char* = __builtin_FILE()

namespace chorus::kernels {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
constexpr bool kHasBulkCopies = true;
#else
constexpr bool kHasBulkCopies = false;
#endif

class CudaBulkCopies {
 public:
  // Mbarrier i, whose phases take `count` arrivals each. By one thread, once; for others it is
  // there after BarFence and Sync.
  CHORUS_DEVICE void BarInit(const CudaSpan<uint64_t>& bars, int64_t i, int count, CHORUS_SITE) {
    if constexpr (kHasBulkCopies) {
      asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(bars.SharedAddress(i)),
                   "r"(count)
                   : "memory");
    } else {
      __trap();
    }
  }
  // Lets the copy engine see what this thread initialised, and what it stored to shared memory.
  CHORUS_DEVICE void BarFence(CHORUS_SITE) {
    if constexpr (kHasBulkCopies) {
      asm volatile("fence.mbarrier_init.release.cluster; fence.proxy.async.shared::cta;" ::
                       : "memory");
    } else {
      __trap();
    }
  }
  // One arrival.
  CHORUS_DEVICE void BarArrive(const CudaSpan<uint64_t>& bars, int64_t i, CHORUS_SITE) {
    if constexpr (kHasBulkCopies) {
      asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(bars.SharedAddress(i))
                   : "memory");
    } else {
      __trap();
    }
  }
  // One arrival, and the phase takes `bytes` more of copies; less than 1 MiB in all.
  CHORUS_DEVICE void BarArriveExpect(const CudaSpan<uint64_t>& bars, int64_t i, int bytes,
                                     CHORUS_SITE) {
    if constexpr (kHasBulkCopies) {
      asm volatile(
          "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bars.SharedAddress(i)),
          "r"(bytes)
          : "memory");
    } else {
      __trap();
    }
  }
  // Until the newest phase of that parity is over. No phase may be missed: the one after it ends
  // no earlier than all have waited for it.
  CHORUS_DEVICE void BarWait(const CudaSpan<uint64_t>& bars, int64_t i, uint32_t parity,
                             CHORUS_SITE) {
    if constexpr (kHasBulkCopies) {
      uint32_t over = 0;
      while (over == 0) {
        asm volatile(
            "{.reg .pred over; mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2; "
            "selp.u32 %0, 1, 0, over;}"
            : "=r"(over)
            : "r"(bars.SharedAddress(i)), "r"(parity)
            : "memory");
      }
    } else {
      __trap();
    }
  }
  // `bytes` bytes from global to shared memory, counted by mbarrier k. Bytes and both addresses
  // are multiples of 16.
  template <class To, class From>
  CHORUS_DEVICE void Bulk(const CudaSpan<To>& to, int64_t i, const CudaSpan<From>& from, int64_t j,
                          int bytes, const CudaSpan<uint64_t>& bars, int64_t k, CHORUS_SITE) {
    if constexpr (kHasBulkCopies) {
      asm volatile(
          "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
          "[%3];" ::"r"(to.SharedAddress(i)),
          "l"(from.data() + j), "r"(bytes), "r"(bars.SharedAddress(k))
          : "memory");
    } else {
      __trap();
    }
  }
};

}  // namespace chorus::kernels

#undef CHORUS_SITE

#endif  // CHORUS_KERNELS_DEVICE_CUDA_BULK_COPIES_CUH_
