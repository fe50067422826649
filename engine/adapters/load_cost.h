// LoadCost: how long it takes to bring an adapter into the pool, as a latency and a rate that
// follow what the last loads took. Engine thread only.
#ifndef CHORUS_ENGINE_ADAPTERS_LOAD_COST_H_
#define CHORUS_ENGINE_ADAPTERS_LOAD_COST_H_

#include <cstdint>

namespace chorus::engine {

class LoadCost {
 public:
  double Seconds(int64_t pages) const;
  void Observe(int64_t pages, double seconds);

 private:
  // Σ over loads of weight, weight · pages …; a load weighs 15/16 of the one after it.
  double weight_ = 0.0;
  double pages_ = 0.0;
  double seconds_ = 0.0;
  double pages_pages_ = 0.0;
  double pages_seconds_ = 0.0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_LOAD_COST_H_
