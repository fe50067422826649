#include "server/generate/choice_text.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace chorus::server {

void ChoiceText::Push(int32_t id) {
  begins_.push_back(released_bytes_ + held_.size());
  Add(detokenizer_.Append(id));
}

void ChoiceText::Finish() {
  if (stop_ != nullptr) return;
  Add(detokenizer_.Flush());
  if (stop_ != nullptr) return;
  Release(held_.size());
  released_tokens_ += static_cast<int64_t>(begins_.size());  // those without text of their own
  begins_.clear();
}

std::string ChoiceText::TakeText() { return std::exchange(released_, {}); }

void ChoiceText::Add(const std::string& piece) {
  held_ += piece;
  size_t first = std::string::npos;
  for (const std::string& stop : *stops_) {
    const size_t at = held_.find(stop);
    if (at < first) {
      first = at;
      stop_ = &stop;
    }
  }
  Release(stop_ != nullptr ? first : held_.size() - BytesToHold());
}

void ChoiceText::Release(size_t bytes) {
  released_.append(held_, 0, bytes);
  held_.erase(0, bytes);
  released_bytes_ += bytes;
  // A token whose text is yet to come (half a character) may begin a stop string, if there are any.
  while (!begins_.empty() && (begins_.front() < released_bytes_ || stops_->empty())) {
    begins_.pop_front();
    ++released_tokens_;
  }
}

// The longest end of the text that is a beginning of a stop string.
size_t ChoiceText::BytesToHold() const {
  size_t longest = 0;
  for (const std::string& stop : *stops_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > longest; --n) {
      if (std::string_view(held_).substr(held_.size() - n) == std::string_view(stop).substr(0, n)) {
        longest = n;
      }
    }
  }
  return longest;
}

}  // namespace chorus::server
