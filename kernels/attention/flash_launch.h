// What the translation units that compile FlashInfer offer: one launch for each head size and type,
// each in a file of its own, because they take the compiler long.
#ifndef CHORUS_KERNELS_ATTENTION_FLASH_LAUNCH_H_
#define CHORUS_KERNELS_ATTENTION_FLASH_LAUNCH_H_

#include <string>

#include "kernels/attention/device_attention.h"

struct CUstream_st;

namespace chorus::kernels {

// Empty, or what went wrong. REQUIRES: checked arguments of this head size and type.
std::string LaunchFlashBf16Head64(const DeviceAttentionArgs& args, CUstream_st* stream);
std::string LaunchFlashBf16Head128(const DeviceAttentionArgs& args, CUstream_st* stream);
std::string LaunchFlashBf16Head256(const DeviceAttentionArgs& args, CUstream_st* stream);
std::string LaunchFlashF16Head64(const DeviceAttentionArgs& args, CUstream_st* stream);
std::string LaunchFlashF16Head128(const DeviceAttentionArgs& args, CUstream_st* stream);
std::string LaunchFlashF16Head256(const DeviceAttentionArgs& args, CUstream_st* stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ATTENTION_FLASH_LAUNCH_H_
