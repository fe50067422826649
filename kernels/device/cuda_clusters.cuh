// Thread block clusters: a part of CudaArch. They need compute capability 9.0 and a kernel that is
// launched in clusters (Kernel::cluster_blocks); on older GPUs every call traps. PTX ISA,
// "barrier.cluster", "mapa" and "ld".
//
// What a block wrote to its shared memory, the others of its cluster may read behind a ClusterSync,
// until the next one; and behind a last ClusterSync a block may end, for its memory ends with it.
#ifndef CHORUS_KERNELS_DEVICE_CUDA_CLUSTERS_CUH_
#define CHORUS_KERNELS_DEVICE_CUDA_CLUSTERS_CUH_

#include "kernels/device/cuda_span.cuh"
#include "kernels/device/device_code.h"

#define CHORUS_SITE int = __builtin_LINE(), const char* = __builtin_FILE()

namespace chorus::kernels {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
constexpr bool kHasClusters = true;
#else
constexpr bool kHasClusters = false;
#endif

// Another block's shared memory, to be read.
template <class T>
class CudaRemoteSpan {
 public:
  CHORUS_DEVICE explicit CudaRemoteSpan(uint32_t address) : address_(address) {}

  CHORUS_DEVICE void LoadTo(F4& to, int64_t i) const {
    if constexpr (kHasClusters) {
      asm volatile("ld.shared::cluster.v4.f32 {%0,%1,%2,%3}, [%4];"
                   : "=f"(to.x), "=f"(to.y), "=f"(to.z), "=f"(to.w)
                   : "r"(address_ + static_cast<uint32_t>(i * sizeof(T)))
                   : "memory");
    } else {
      __trap();
    }
  }

 private:
  uint32_t address_;  // of the window that all blocks of the cluster share
};

class CudaClusters {
 public:
  // This block's number in its cluster, and how many blocks that has.
  CHORUS_DEVICE int ClusterBlock() const { return Read<true>(); }
  CHORUS_DEVICE int ClusterBlocks() const { return Read<false>(); }

  // Until all threads of the cluster are here; orders their accesses to shared memory, as Sync does
  // those of a block.
  CHORUS_DEVICE void ClusterSync(CHORUS_SITE) {
    if constexpr (kHasClusters) {
      asm volatile(
          "barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::
              : "memory");
    } else {
      __trap();
    }
  }

  // What lies where `span` does, in the shared memory of block `block` of the cluster.
  template <class T>
  CHORUS_DEVICE CudaRemoteSpan<T> Remote(const CudaSpan<T>& span, int block) const {
    uint32_t address = 0;
    if constexpr (kHasClusters) {
      asm("mapa.shared::cluster.u32 %0, %1, %2;"
          : "=r"(address)
          : "r"(span.SharedAddress(0)), "r"(block));
    } else {
      __trap();
    }
    return CudaRemoteSpan<T>(address);
  }

 private:
  template <bool kRank>
  CHORUS_DEVICE static int Read() {
    uint32_t value = 0;
    if constexpr (!kHasClusters) {
      __trap();
    } else if constexpr (kRank) {
      asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(value));
    } else {
      asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(value));
    }
    return static_cast<int>(value);
  }
};

}  // namespace chorus::kernels

#undef CHORUS_SITE

#endif  // CHORUS_KERNELS_DEVICE_CUDA_CLUSTERS_CUH_
