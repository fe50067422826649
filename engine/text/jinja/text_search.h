// Cutting and replacing in texts, for the methods and filters of strings.
#ifndef CHORUS_ENGINE_TEXT_JINJA_TEXT_SEARCH_H_
#define CHORUS_ENGINE_TEXT_JINJA_TEXT_SEARCH_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/jinja/runtime.h"

namespace chorus::jinja {

// str.replace; `count` below zero: all.
absl::StatusOr<std::string> ReplaceText(Runtime& runtime, std::string_view text,
                                        std::string_view from, std::string_view to, int64_t count);

// str.split(None, limit) and str.rsplit(None, limit); `limit` below zero: no limit.
std::vector<std::string_view> SplitSpace(std::string_view text, int64_t limit, bool from_right);
// The same with a separator. REQUIRES: it is not empty.
std::vector<std::string_view> SplitBy(std::string_view text, std::string_view separator,
                                      int64_t limit, bool from_right);
std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends);

// Takes the code points in `any` off the ends.
std::string_view StripAny(std::string_view text, std::string_view any, bool left, bool right);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_TEXT_SEARCH_H_
