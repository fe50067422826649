// Loops whose index is a constant in every turn. Register-blocked kernels need them: an array of
// vectors stays in registers only where the compiler sees constant indices early on, and GCC
// unrolls nested loops too late for that, pragma or not.
//   Unroll<4>([&](auto i) CHORUS_INLINE_LAMBDA { sums[i] = …; });
#ifndef CHORUS_KERNELS_SIMD_UNROLL_H_
#define CHORUS_KERNELS_SIMD_UNROLL_H_

#include <type_traits>

#define CHORUS_INLINE_LAMBDA __attribute__((always_inline))

// Defines Unroll<count>(body), which calls body(std::integral_constant<int, i>()) for all i in
// [0, count), in the namespace where it stands: what is inlined must be compiled for the same
// processor as what it is inlined into.
#define CHORUS_DEFINE_UNROLL()                                          \
  template <int kCount, int kIndex = 0, class Body>                     \
  __attribute__((always_inline)) inline void Unroll(const Body& body) { \
    if constexpr (kIndex < kCount) {                                    \
      body(std::integral_constant<int, kIndex>());                      \
      Unroll<kCount, kIndex + 1>(body);                                 \
    }                                                                   \
  }                                                                     \
  static_assert(true)

#endif  // CHORUS_KERNELS_SIMD_UNROLL_H_
