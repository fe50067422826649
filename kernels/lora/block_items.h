// BlockItems: a block's items after its first, in shared memory before they are needed: a read of
// the list would be as long as the work of an item. Device code of the shrink and the expand.
#ifndef CHORUS_KERNELS_LORA_BLOCK_ITEMS_H_
#define CHORUS_KERNELS_LORA_BLOCK_ITEMS_H_

#include "kernels/lora/warp_feed.h"

namespace chorus::kernels {

constexpr int kHeldItems = 16;
constexpr int32_t kHeldItemsBytes = kHeldItems * static_cast<int32_t>(sizeof(LoraItem));
static_assert(kHeldItems * LoraItemWords::kCount <= kLoraThreads);

// kHeld: 0 where shared memory has no room for them.
template <int kHeld, class Arch>
class BlockItems {
 public:
  // Items `first`, first + `stride`, …, `count` of them, of which kHeld are kept at `offset`,
  // a multiple of 16. The block meets when there is more than one.
  CHORUS_DEVICE BlockItems(Arch& arch, const LoraWork& work, int32_t offset, int32_t first,
                           int32_t stride, int32_t count)
      : arch_(arch), work_(work), offset_(offset), first_(first), stride_(stride) {
    if (kHeld == 0 || count == 1) return;
    constexpr int kWords = LoraItemWords::kCount;
    const int32_t item = arch.Thread() / kWords;
    if (item < Min<int32_t>(count, kHeld)) {
      const auto words =
          arch.Global(reinterpret_cast<const U4*>(work.items), int64_t{work.capacity} * kWords);
      Words().Store(arch.Thread(),
                    words.Load((first + item * int64_t{stride}) * kWords + arch.Thread() % kWords));
    }
    arch.Sync();
  }

  // The `number`-th, from 0.
  CHORUS_DEVICE LoraItem At(int32_t number) const {
    if (number >= kHeld) return LoadItem(arch_, work_, first_ + number * stride_);
    LoraItemWords item;
    CHORUS_UNROLL for (int w = 0; w < LoraItemWords::kCount; ++w) {
      item.words[w] = Words().Load(number * LoraItemWords::kCount + w);
    }
    return __builtin_bit_cast(LoraItem, item);
  }

 private:
  CHORUS_DEVICE auto Words() const {
    return Shared<U4>(arch_, offset_, kHeld * LoraItemWords::kCount);
  }

  Arch& arch_;
  const LoraWork& work_;
  const int32_t offset_, first_, stride_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LORA_BLOCK_ITEMS_H_
