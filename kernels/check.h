// CHORUS_CHECK: a broken invariant of our own ends the process with the place and the values.
// Never used for what a client, a file, memory pressure or a driver can cause: those get a Status.
#ifndef CHORUS_KERNELS_CHECK_H_
#define CHORUS_KERNELS_CHECK_H_

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

namespace chorus::kernels {

[[noreturn]] inline void CheckFailed(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what.c_str());
  std::fflush(stderr);
  std::abort();
}

template <class A, class B>
std::string CheckMessage(const char* expr, const A& a, const B& b) {
  std::ostringstream out;
  out << expr << " (" << a << " against " << b << ")";
  return out.str();
}

}  // namespace chorus::kernels

#define CHORUS_CHECK(condition) \
  (static_cast<bool>(condition) \
       ? static_cast<void>(0)   \
       : ::chorus::kernels::CheckFailed(__FILE__, __LINE__, #condition))

#define CHORUS_CHECK_OP_(op, a, b)                                                       \
  do {                                                                                   \
    const auto& chorus_a_ = (a);                                                         \
    const auto& chorus_b_ = (b);                                                         \
    if (!(chorus_a_ op chorus_b_))                                                       \
      ::chorus::kernels::CheckFailed(                                                    \
          __FILE__, __LINE__,                                                            \
          ::chorus::kernels::CheckMessage(#a " " #op " " #b, chorus_a_, chorus_b_));     \
  } while (false)

#define CHORUS_CHECK_EQ(a, b) CHORUS_CHECK_OP_(==, a, b)
#define CHORUS_CHECK_NE(a, b) CHORUS_CHECK_OP_(!=, a, b)
#define CHORUS_CHECK_LE(a, b) CHORUS_CHECK_OP_(<=, a, b)
#define CHORUS_CHECK_LT(a, b) CHORUS_CHECK_OP_(<, a, b)
#define CHORUS_CHECK_GE(a, b) CHORUS_CHECK_OP_(>=, a, b)
#define CHORUS_CHECK_GT(a, b) CHORUS_CHECK_OP_(>, a, b)

// Checks that cost time: in debug builds and under sanitizers.
#if defined(NDEBUG) && !defined(CHORUS_SANITIZED)
#define CHORUS_DCHECK(condition) static_cast<void>(0)
#else
#define CHORUS_DCHECK(condition) CHORUS_CHECK(condition)
#define CHORUS_DCHECKS_ON 1
#endif

#endif  // CHORUS_KERNELS_CHECK_H_
