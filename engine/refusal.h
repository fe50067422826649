// Refusals: why something that a client sent is turned down, in a form that programs can read. A
// refusal is an absl::Status whose message says everything in words, with the same things beside it
// as a payload: a stable reason, the object, what was expected and what came.
#ifndef CHORUS_ENGINE_REFUSAL_H_
#define CHORUS_ENGINE_REFUSAL_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace chorus::engine {

// Numbers are part of the API (chorus.v1.ErrorDetail.Reason): never change or reuse one.
enum class Reason : int {
  kUnspecified = 0,
  // Requests
  kModelEmpty = 1,
  kAdapterNotFound = 2,
  kPromptEmpty = 3,
  kPromptTooLong = 4,
  kMaxTokensTooLarge = 5,
  kValueOutOfRange = 6,
  kInvalidUtf8 = 7,
  kTokenOutOfVocabulary = 8,
  kMalformedMessage = 9,
  kRequestIdInUse = 10,
  kChatUnavailable = 11,
  kChatInvalid = 12,
  kConflictingFields = 13,
  kJsonInvalid = 14,
  // Overload and lifecycle
  kQueueFull = 20,
  kPoolTooSmall = 21,
  kDraining = 22,
  kPinBudget = 23,
  kTooManyUploads = 24,
  kEngineFailed = 25,
  kSlowReader = 26,
  kTimedOut = 27,
  kInternal = 28,
  kFirstTokenLate = 29,
  // Uploads and the store
  kNameInvalid = 40,
  kVersionMismatch = 41,
  kAlreadyExists = 42,
  kSizeMismatch = 43,
  kDigestMismatch = 44,
  kStoreFull = 45,
  kStoreReadOnly = 46,
  kQuotaExceeded = 47,
  kUploadOutOfOrder = 48,
  kAdapterDamaged = 49,
  kWatcherBehind = 50,
  // What an adapter may not be
  kAdapterConfigInvalid = 60,
  kAdapterUnsupportedKind = 61,
  kAdapterUnsupportedField = 62,
  kAdapterUnknownField = 63,
  kAdapterFileInvalid = 64,
  kAdapterTensorUnknown = 65,
  kAdapterTensorMissing = 66,
  kAdapterTensorShape = 67,
  kAdapterTensorType = 68,
  kAdapterNotFinite = 69,
  kAdapterRank = 70,
  kAdapterTarget = 71,
  kAdapterTooLarge = 72,
  kAdapterConflict = 73,
  kAdapterPattern = 74,
  kAdapterBaseChanging = 75,
  kAdapterScale = 76,
  // The served model's own files, at start
  kModelUnsupported = 90,
  kModelFileInvalid = 91,
};

struct ReasonEntry {
  Reason reason;
  std::string_view name;
};

// The one table of all reasons, in ascending order.
std::span<const ReasonEntry> AllReasons();

// "ADAPTER_TENSOR_SHAPE"; "UNSPECIFIED" for a number that is not in the table.
std::string_view ReasonName(Reason reason);

struct Refusal {
  Reason reason = Reason::kUnspecified;
  std::string object;          // "adapter_config.json: r"
  std::string expected;        // "an integer from 1 to 256"
  std::string got;             // "8.5"
  int64_t retry_after_ms = 0;  // a hint, 0 for none
};

// A Status that reads "OBJECT: expected EXPECTED, got GOT" (the parts that are not empty).
absl::Status MakeRefusal(absl::StatusCode code, Refusal refusal);

// Most refusals are InvalidArgument.
inline absl::Status Refuse(Reason reason, std::string object, std::string expected,
                           std::string got) {
  return MakeRefusal(absl::StatusCode::kInvalidArgument,
                     {reason, std::move(object), std::move(expected), std::move(got)});
}

// The refusal that a Status carries, if it carries one.
std::optional<Refusal> RefusalOf(const absl::Status& status);

// At most 64 bytes of what a client sent, with everything but printable ASCII escaped.
std::string Quoted(std::string_view text);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_REFUSAL_H_
