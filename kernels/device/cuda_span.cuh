// CudaSpan: memory as kernel bodies see it on a GPU.
#ifndef CHORUS_KERNELS_DEVICE_CUDA_SPAN_CUH_
#define CHORUS_KERNELS_DEVICE_CUDA_SPAN_CUH_

#include "kernels/device/device_code.h"

namespace chorus::kernels {

// Global or shared memory. Indices count elements; accesses of several elements must be aligned.
template <class T>
class CudaSpan {
 public:
  CHORUS_DEVICE explicit CudaSpan(T* data) : data_(data) {}

  CHORUS_DEVICE T Load(int64_t i) const { return data_[i]; }
  template <class V>
  CHORUS_DEVICE void Store(int64_t i, const V& value) const {
    data_[i] = value;
  }
  // Vector is F2, U2, F4 or U4.
  template <class Vector>
  CHORUS_DEVICE void LoadTo(Vector& to, int64_t i) const {
    to = *reinterpret_cast<const Vector*>(data_ + i);
  }
  template <class Vector>
  CHORUS_DEVICE void StoreFrom(const Vector& from, int64_t i) const {
    *reinterpret_cast<Vector*>(data_ + i) = from;
  }
  // 16 bytes of something that is read once: kept out of L1. REQUIRES: global and read-only.
  CHORUS_DEVICE void StreamTo(U4& to, int64_t i) const {
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to.x), "=r"(to.y), "=r"(to.z), "=r"(to.w)
                 : "l"(data_ + i));
  }

  CHORUS_DEVICE T* data() const { return data_; }
  // Element i's, as PTX wants it. REQUIRES: shared memory.
  CHORUS_DEVICE uint32_t SharedAddress(int64_t i) const {
    return static_cast<uint32_t>(__cvta_generic_to_shared(data_ + i));
  }

 private:
  T* data_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_CUDA_SPAN_CUH_
