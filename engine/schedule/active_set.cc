#include "engine/schedule/active_set.h"

#include <algorithm>

#include "kernels/check.h"

namespace chorus::engine {

void ActiveSet::Add(Sequence* sequence) {
  num_choices_ += sequence->num_choices();
  AddFork(sequence);
}

void ActiveSet::AddFork(Sequence* sequence) {
  sequences_.insert(PlaceOf(sequence), sequence);
  const Residency::Resident* const adapter = sequence->resident;
  if (adapter != nullptr && users_[adapter]++ == 0) rank_sum_ += adapter->max_rank;
}

void ActiveSet::Remove(Sequence* sequence) {
  const auto place = PlaceOf(sequence);
  CHORUS_CHECK(place != sequences_.end() && *place == sequence);
  sequences_.erase(place);
  num_choices_ -= sequence->num_choices();
  const auto users = users_.find(sequence->resident);
  if (users == users_.end() || --users->second > 0) return;
  rank_sum_ -= sequence->resident->max_rank;
  users_.erase(users);
}

std::vector<Sequence*>::iterator ActiveSet::PlaceOf(const Sequence* sequence) {
  return std::lower_bound(sequences_.begin(), sequences_.end(), sequence, OlderSequence());
}

}  // namespace chorus::engine
