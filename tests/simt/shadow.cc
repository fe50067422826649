#include "tests/simt/shadow.h"

#include "kernels/check.h"

namespace chorus::kernels {

void Shadow::BeginBlock(int bytes) {
  const auto pairs = static_cast<size_t>(bytes + 1) / 2;
  if (pairs_.size() < pairs) pairs_.resize(pairs);
  if (!atomics_.empty() && atomics_.size() < pairs) atomics_.resize(pairs_.size());
  if (!remote_.empty() && remote_.size() < pairs) remote_.resize(pairs_.size());
  EndInterval();
  CHORUS_CHECK_GT(interval_, 0u);
  block_begin_ = cluster_begin_ = interval_;
}

void Shadow::EndClusterInterval() {
  EndInterval();
  cluster_begin_ = interval_;
}

void Shadow::EndInterval() {
  ++interval_;
  first_landing_ += static_cast<uint32_t>(landings_.size());
  landings_.clear();
}

void Shadow::EndWarpInterval(int warp) {
  for (Landing& landing : landings_) {
    uint32_t& lanes = landing.waiters[static_cast<size_t>(warp)];
    if (lanes != 0) lanes = ~0u;
  }
}

std::optional<Shadow::Conflict> Shadow::FindUnfenced(int begin, int bytes) const {
  for (int i = begin / 2; i < (begin + bytes) / 2; ++i) {
    const Party& writer = pairs_[static_cast<size_t>(i)].writer;
    if (writer.interval < block_begin_ || writer.copying || writer.thread == kLanding) continue;
    if (writer.fences != fences_[static_cast<size_t>(writer.thread)]) continue;
    return Conflict{Conflict::kUnfenced, 2 * i, writer.thread, writer.line, false};
  }
  return std::nullopt;
}

uint32_t Shadow::BeginLanding() {
  landings_.emplace_back();
  return first_landing_ + static_cast<uint32_t>(landings_.size()) - 1;
}

void Shadow::Land(int begin, int bytes) {
  for (int i = begin / 2; i < (begin + bytes) / 2; ++i) {
    Party& writer = pairs_[static_cast<size_t>(i)].writer;
    writer.interval = interval_;
    writer.warp_interval = first_landing_ + static_cast<uint32_t>(landings_.size()) - 1;
    writer.thread = writer.warp = kLanding;
    writer.copying = false;
  }
}

void Shadow::NoteWait(uint32_t landing, int thread) {
  if (landing < first_landing_) return;
  landings_[landing - first_landing_].waiters[static_cast<size_t>(thread / 32)] |= 1u
                                                                                   << (thread % 32);
}

void Shadow::Forget() {
  for (Pair& pair : pairs_) pair.writer.copying = false;
}

bool Shadow::Unordered(const Party& party, const Actor& actor) const {
  if (party.interval != interval_ || party.thread == actor.thread) return false;
  if (party.thread == kLanding) {
    const Landing& landing = landings_[party.warp_interval - first_landing_];
    return (landing.waiters[static_cast<size_t>(actor.thread / 32)] >> (actor.thread % 32) & 1) ==
           0;
  }
  return party.warp != actor.thread / 32 || party.warp_interval == actor.warp_interval;
}

Shadow::Conflict Shadow::Report(Conflict::Kind kind, const Party& party, int pair,
                                const Actor& actor) const {
  return {kind, 2 * pair, party.thread, party.line, party.warp == actor.thread / 32};
}

void Shadow::Set(Party& party, const Actor& actor) const {
  party.interval = interval_;
  party.warp_interval = actor.warp_interval;
  party.thread = static_cast<int16_t>(actor.thread);
  party.warp = static_cast<int16_t>(actor.thread / 32);
  party.line = static_cast<uint16_t>(actor.line);
  party.fences = fences_[static_cast<size_t>(actor.thread)];
}

// Of accesses that do not conflict with each other, what a later conflict has to know: threads of
// several warps are ordered with nobody; those of one warp only matter in its newest warp interval.
void Shadow::Join(Party& party, const Actor& actor) const {
  if (party.interval != interval_) return Set(party, actor);
  party.line = static_cast<uint16_t>(actor.line);
  if (party.warp != actor.thread / 32) {
    party.warp = party.thread = kSeveral;
  } else if (party.warp_interval != actor.warp_interval) {
    Set(party, actor);
  } else if (party.thread != actor.thread) {
    party.thread = kSeveral;
  }
}

std::optional<Shadow::Conflict> Shadow::Touch(Access access, int begin, int bytes,
                                              const Actor& actor) {
  if (access == Access::kAtomic && atomics_.empty()) atomics_.resize(pairs_.size());
  for (int i = begin / 2; i < (begin + bytes + 1) / 2; ++i) {
    Pair& pair = pairs_[static_cast<size_t>(i)];
    if (pair.writer.copying) return Report(Conflict::kCopyUnderWay, pair.writer, i, actor);
    if (Unordered(pair.writer, actor)) {
      const bool landed = pair.writer.thread == kLanding;
      return Report(landed ? Conflict::kLanded : Conflict::kWritten, pair.writer, i, actor);
    }
    if (access != Access::kWrite && pair.writer.interval < block_begin_) {
      return Report(Conflict::kUnwritten, pair.writer, i, actor);
    }
    if (!Reads(access) && Unordered(pair.readers, actor)) {
      return Report(Conflict::kRead, pair.readers, i, actor);
    }
    if (!atomics_.empty() && access != Access::kAtomic &&
        Unordered(atomics_[static_cast<size_t>(i)], actor)) {
      return Report(Conflict::kAtomic, atomics_[static_cast<size_t>(i)], i, actor);
    }
    if (!Reads(access) && !remote_.empty() &&
        remote_[static_cast<size_t>(i)].interval >= cluster_begin_) {
      const RemoteReader& reader = remote_[static_cast<size_t>(i)];
      return Conflict{Conflict::kRead, 2 * i, kSeveral, reader.line, false, reader.block};
    }
    switch (access) {
      case Access::kRead:
      case Access::kStream:
        Join(pair.readers, actor);
        break;
      case Access::kWrite:
        Set(pair.writer, actor);
        break;
      case Access::kAtomic:
        Join(atomics_[static_cast<size_t>(i)], actor);
        break;
    }
  }
  return std::nullopt;
}

std::optional<Shadow::Conflict> Shadow::TouchRemote(int begin, int bytes, int block,
                                                    const Actor& actor) {
  if (remote_.empty()) remote_.resize(pairs_.size());
  for (int i = begin / 2; i < (begin + bytes + 1) / 2; ++i) {
    const Party& writer = pairs_[static_cast<size_t>(i)].writer;
    if (writer.copying) return Report(Conflict::kCopyUnderWay, writer, i, actor);
    if (writer.interval >= cluster_begin_) {
      const bool landed = writer.thread == kLanding;
      return Report(landed ? Conflict::kLanded : Conflict::kWritten, writer, i, actor);
    }
    if (writer.interval < block_begin_) return Report(Conflict::kUnwritten, writer, i, actor);
    if (!atomics_.empty() && atomics_[static_cast<size_t>(i)].interval >= cluster_begin_) {
      return Report(Conflict::kAtomic, atomics_[static_cast<size_t>(i)], i, actor);
    }
    remote_[static_cast<size_t>(i)] = {interval_, block, actor.line};
  }
  return std::nullopt;
}

void Shadow::SetCopying(int begin, int bytes, bool copying) {
  for (int i = begin / 2; i < (begin + bytes + 1) / 2; ++i) {
    pairs_[static_cast<size_t>(i)].writer.copying = copying;
  }
}

}  // namespace chorus::kernels
