// LaunchFlash: FlashInfer's FA2 batch prefill kernel over our pages and plan. Included by the files
// that instantiate it; FlashInfer's names stay in them.
#ifndef CHORUS_KERNELS_ATTENTION_FLASH_LAUNCH_CUH_
#define CHORUS_KERNELS_ATTENTION_FLASH_LAUNCH_CUH_

// clang-format off: this one before FlashInfer's.
#include "kernels/attention/fast_division.cuh"
// clang-format on
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <exception>
#include <flashinfer/attention/default_prefill_params.cuh>
#include <flashinfer/attention/prefill.cuh>
#include <flashinfer/attention/variants.cuh>
#include <string>

#include "kernels/attention/flash_launch.h"

namespace chorus::kernels {

template <int kHeadDim, class T>
class FlashLaunch {
 public:
  // The kernels compile for other head sizes too, and are wrong there.
  static_assert(kHeadDim == 64 || kHeadDim == 128 || kHeadDim == 256);

  static std::string Run(const DeviceAttentionArgs& args, cudaStream_t stream) {
    try {
      const cudaError_t error = Dispatch(args, stream);
      return error == cudaSuccess ? std::string() : cudaGetErrorString(error);
    } catch (const std::exception& error) {
      return error.what();
    }
  }

 private:
  using Cache = flashinfer::paged_kv_t<T, int32_t>;
  using Params = flashinfer::BatchPrefillPagedParams<T, T, T, int32_t>;
  // No custom mask, no window, no soft cap, no ALiBi.
  using Variant = flashinfer::DefaultAttention<false, false, false, false>;

  // FlashInfer's pointers are not const, though it only reads through these.
  static int32_t* Array(const DeviceAttentionArgs& args, int32_t offset) {
    return reinterpret_cast<int32_t*>(const_cast<std::byte*>(args.plan) + offset);
  }

  static Cache CacheOf(const DeviceAttentionArgs& args) {
    const PoolView& pool = args.pool;
    T* const k = reinterpret_cast<T*>(pool.CellAddress(pool.CellOf(args.slab, 0)));
    const int64_t strides[3] = {pool.cell_elements(), int64_t{kPageTokens} * kHeadDim, kHeadDim};
    const AttentionLayout& layout = *args.layout;
    return Cache(pool.kv_heads, kPageTokens, kHeadDim, layout.limits.max_sequences,
                 flashinfer::QKVLayout::kHND, k, k + pool.v_offset(), strides,
                 const_cast<int32_t*>(args.page_ids), Array(args, layout.page_begin),
                 Array(args, layout.last_page_tokens));
  }

  static Params ParamsOf(const DeviceAttentionArgs& args) {
    const AttentionLayout& layout = *args.layout;
    Params params(static_cast<T*>(const_cast<void*>(args.q)), CacheOf(args),
                  /*maybe_custom_mask=*/nullptr, Array(args, layout.row_begin),
                  /*maybe_mask_indptr=*/nullptr, /*maybe_q_rope_offset=*/nullptr,
                  static_cast<T*>(args.y), /*lse=*/nullptr, /*maybe_alibi_slopes=*/nullptr,
                  layout.limits.heads, static_cast<int32_t>(args.q_stride), kHeadDim,
                  /*window_left=*/-1, /*logits_soft_cap=*/0.0f, args.scale, /*rope_scale=*/1.0f,
                  /*rope_theta=*/1e4f);
    params.request_indices = Array(args, layout.item_sequence);
    params.qo_tile_indices = Array(args, layout.item_row_tile);
    params.kv_tile_indices = Array(args, layout.item_chunk);
    params.o_indptr = Array(args, layout.o_begin);
    params.merge_indptr = Array(args, layout.merge_begin);
    params.kv_chunk_size_ptr = Array(args, layout.chunk_tokens);
    params.block_valid_mask = reinterpret_cast<bool*>(Array(args, layout.item_valid));
    params.padded_batch_size = layout.max_items;
    params.max_total_num_rows = layout.limits.max_rows;
    params.total_num_rows = reinterpret_cast<uint32_t*>(Array(args, layout.num_rows));
    return params;
  }

  template <int kTileRows>
  static cudaError_t WithTile(const DeviceAttentionArgs& args, cudaStream_t stream) {
    T* const values = args.split ? reinterpret_cast<T*>(args.workspace) : nullptr;
    float* const scores =
        args.split ? reinterpret_cast<float*>(args.workspace + args.layout->scores_offset())
                   : nullptr;
    return flashinfer::BatchPrefillWithPagedKVCacheDispatched<
        /*SAME_KV_STRIDES=*/true, kTileRows, kHeadDim, kHeadDim, flashinfer::PosEncodingMode::kNone,
        /*USE_FP16_QK_REDUCTION=*/false, flashinfer::MaskMode::kCausal, Variant, Params>(
        ParamsOf(args), values, scores, /*enable_pdl=*/args.begin_early, stream);
  }

  static cudaError_t Dispatch(const DeviceAttentionArgs& args, cudaStream_t stream) {
    switch (args.layout->tile_rows) {
      case 16:
        return WithTile<16>(args, stream);
      case 64:
        return WithTile<64>(args, stream);
      case 128:
        if constexpr (kHeadDim < 256) return WithTile<128>(args, stream);
        [[fallthrough]];
      default:
        return cudaErrorInvalidValue;
    }
  }
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ATTENTION_FLASH_LAUNCH_CUH_
