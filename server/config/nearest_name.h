// For "did you mean": which known name is nearest to one that is not known.
#ifndef CHORUS_SERVER_CONFIG_NEAREST_NAME_H_
#define CHORUS_SERVER_CONFIG_NEAREST_NAME_H_

#include <string>
#include <string_view>
#include <vector>

namespace chorus::server {

// The candidate with the fewest insertions, deletions and changes of a character (Levenshtein); the
// first of several. Empty when even that one differs in more than a third of `name`.
std::string NearestName(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_CONFIG_NEAREST_NAME_H_
