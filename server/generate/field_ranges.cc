#include "server/generate/field_ranges.h"

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/refusal.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::server {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr double kMaxInt = std::numeric_limits<int32_t>::max();

constexpr FieldRange kRanges[] = {
    {"max_tokens", 1, kMaxInt},
    {"n", 1, 16},
    {"logprobs", 0, 20},
    {"priority", -100, 100},
    {"timeout_ms", 1, 86'400'000},
    {"sampling.temperature", 0, 100},
    {"sampling.top_k", 0, kMaxInt},
    {"sampling.top_p", 0, 1, true},
    {"sampling.min_p", 0, 1},
    {"sampling.repetition_penalty", 0, 100, true},
    {"sampling.presence_penalty", -2, 2},
    {"sampling.frequency_penalty", -2, 2},
};

double NumberOf(const Message& message, const FieldDescriptor& field) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.GetFloat(message, &field);
    default:
      break;
  }
  CHORUS_CHECK(false);
  return 0.0;
}

absl::Status CheckRange(const Message& request, const FieldRange& range) {
  const Message* message = &request;
  const std::vector<std::string> names = absl::StrSplit(std::string(range.path), '.');
  for (size_t i = 0;; ++i) {
    const FieldDescriptor* const field = message->GetDescriptor()->FindFieldByName(names[i]);
    CHORUS_CHECK(field != nullptr);
    if (!message->GetReflection()->HasField(*message, field)) return absl::OkStatus();
    if (i + 1 < names.size()) {
      message = &message->GetReflection()->GetMessage(*message, field);
      continue;
    }
    const double value = NumberOf(*message, *field);
    const bool enough = range.above_least ? value > range.least : value >= range.least;
    if (enough && value <= range.most) return absl::OkStatus();
    return engine::Refuse(
        engine::Reason::kValueOutOfRange, std::string(range.path),
        range.above_least ? absl::StrCat("a number above ", range.least, ", at most ", range.most)
                          : absl::StrCat("a number from ", range.least, " to ", range.most),
        absl::StrCat(value));
  }
}

}  // namespace

std::span<const FieldRange> GenerateRanges() { return kRanges; }

absl::Status CheckRanges(const Message& request) {
  for (const FieldRange& range : kRanges) CHORUS_RETURN_IF_ERROR(CheckRange(request, range));
  return absl::OkStatus();
}

}  // namespace chorus::server
