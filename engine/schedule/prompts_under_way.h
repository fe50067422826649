// PromptsUnderWay: the pages of prompts that somebody computes now. Who wants one of them waits and
// takes it from the prefix cache. Engine thread only.
#ifndef CHORUS_ENGINE_SCHEDULE_PROMPTS_UNDER_WAY_H_
#define CHORUS_ENGINE_SCHEDULE_PROMPTS_UNDER_WAY_H_

#include <span>

#include "absl/container/flat_hash_map.h"
#include "engine/memory/prefix_key.h"
#include "engine/schedule/request.h"

namespace chorus::engine {

class PromptsUnderWay {
 public:
  // The sequence is going to compute these pages, but for those that another one does.
  void Begin(const Sequence& sequence, std::span<const PrefixKey> keys) {
    for (const PrefixKey& key : keys) computing_.try_emplace(key, &sequence);
  }
  // It has computed these, or will not.
  void End(const Sequence& sequence, std::span<const PrefixKey> keys) {
    for (const PrefixKey& key : keys) {
      const auto found = computing_.find(key);
      if (found != computing_.end() && found->second == &sequence) computing_.erase(found);
    }
  }

  bool empty() const { return computing_.empty(); }
  bool Contains(const PrefixKey& key) const { return computing_.contains(key); }

 private:
  absl::flat_hash_map<PrefixKey, const Sequence*> computing_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_PROMPTS_UNDER_WAY_H_
