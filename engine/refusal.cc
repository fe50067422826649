#include "engine/refusal.h"

#include <iterator>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/optional.h"

namespace chorus::engine {
namespace {

constexpr char kPayload[] = "chorus.v1.refusal";

constexpr ReasonEntry kReasons[] = {
    {Reason::kUnspecified, "UNSPECIFIED"},
    {Reason::kModelEmpty, "MODEL_EMPTY"},
    {Reason::kAdapterNotFound, "ADAPTER_NOT_FOUND"},
    {Reason::kPromptEmpty, "PROMPT_EMPTY"},
    {Reason::kPromptTooLong, "PROMPT_TOO_LONG"},
    {Reason::kMaxTokensTooLarge, "MAX_TOKENS_TOO_LARGE"},
    {Reason::kValueOutOfRange, "VALUE_OUT_OF_RANGE"},
    {Reason::kInvalidUtf8, "INVALID_UTF8"},
    {Reason::kTokenOutOfVocabulary, "TOKEN_OUT_OF_VOCABULARY"},
    {Reason::kMalformedMessage, "MALFORMED_MESSAGE"},
    {Reason::kRequestIdInUse, "REQUEST_ID_IN_USE"},
    {Reason::kChatUnavailable, "CHAT_UNAVAILABLE"},
    {Reason::kChatInvalid, "CHAT_INVALID"},
    {Reason::kConflictingFields, "CONFLICTING_FIELDS"},
    {Reason::kJsonInvalid, "JSON_INVALID"},
    {Reason::kQueueFull, "QUEUE_FULL"},
    {Reason::kPoolTooSmall, "POOL_TOO_SMALL"},
    {Reason::kDraining, "DRAINING"},
    {Reason::kPinBudget, "PIN_BUDGET"},
    {Reason::kTooManyUploads, "TOO_MANY_UPLOADS"},
    {Reason::kEngineFailed, "ENGINE_FAILED"},
    {Reason::kSlowReader, "SLOW_READER"},
    {Reason::kTimedOut, "TIMED_OUT"},
    {Reason::kInternal, "INTERNAL"},
    {Reason::kFirstTokenLate, "FIRST_TOKEN_LATE"},
    {Reason::kNameInvalid, "NAME_INVALID"},
    {Reason::kVersionMismatch, "VERSION_MISMATCH"},
    {Reason::kAlreadyExists, "ALREADY_EXISTS"},
    {Reason::kSizeMismatch, "SIZE_MISMATCH"},
    {Reason::kDigestMismatch, "DIGEST_MISMATCH"},
    {Reason::kStoreFull, "STORE_FULL"},
    {Reason::kStoreReadOnly, "STORE_READ_ONLY"},
    {Reason::kQuotaExceeded, "QUOTA_EXCEEDED"},
    {Reason::kUploadOutOfOrder, "UPLOAD_OUT_OF_ORDER"},
    {Reason::kAdapterDamaged, "ADAPTER_DAMAGED"},
    {Reason::kWatcherBehind, "WATCHER_BEHIND"},
    {Reason::kAdapterConfigInvalid, "ADAPTER_CONFIG_INVALID"},
    {Reason::kAdapterUnsupportedKind, "ADAPTER_UNSUPPORTED_KIND"},
    {Reason::kAdapterUnsupportedField, "ADAPTER_UNSUPPORTED_FIELD"},
    {Reason::kAdapterUnknownField, "ADAPTER_UNKNOWN_FIELD"},
    {Reason::kAdapterFileInvalid, "ADAPTER_FILE_INVALID"},
    {Reason::kAdapterTensorUnknown, "ADAPTER_TENSOR_UNKNOWN"},
    {Reason::kAdapterTensorMissing, "ADAPTER_TENSOR_MISSING"},
    {Reason::kAdapterTensorShape, "ADAPTER_TENSOR_SHAPE"},
    {Reason::kAdapterTensorType, "ADAPTER_TENSOR_TYPE"},
    {Reason::kAdapterNotFinite, "ADAPTER_NOT_FINITE"},
    {Reason::kAdapterRank, "ADAPTER_RANK"},
    {Reason::kAdapterTarget, "ADAPTER_TARGET"},
    {Reason::kAdapterTooLarge, "ADAPTER_TOO_LARGE"},
    {Reason::kAdapterConflict, "ADAPTER_CONFLICT"},
    {Reason::kAdapterPattern, "ADAPTER_PATTERN"},
    {Reason::kAdapterBaseChanging, "ADAPTER_BASE_CHANGING"},
    {Reason::kAdapterScale, "ADAPTER_SCALE"},
    {Reason::kModelUnsupported, "MODEL_UNSUPPORTED"},
    {Reason::kModelFileInvalid, "MODEL_FILE_INVALID"},
};

constexpr bool Ascending() {
  for (size_t i = 1; i < std::size(kReasons); ++i) {
    if (kReasons[i - 1].reason >= kReasons[i].reason) return false;
  }
  return true;
}
static_assert(Ascending(), "every number once, in order");

}  // namespace

std::span<const ReasonEntry> AllReasons() { return kReasons; }

std::string_view ReasonName(Reason reason) {
  for (const ReasonEntry& entry : kReasons) {
    if (entry.reason == reason) return entry.name;
  }
  return "UNSPECIFIED";
}

absl::Status MakeRefusal(absl::StatusCode code, Refusal refusal) {
  std::string message = refusal.object;
  if (!refusal.expected.empty()) absl::StrAppend(&message, ": expected ", refusal.expected);
  if (!refusal.got.empty()) {
    absl::StrAppend(&message, refusal.expected.empty() ? ": " : ", got ", refusal.got);
  }
  absl::Status status(code, message);
  std::string payload = absl::StrCat(static_cast<int>(refusal.reason), ",", refusal.retry_after_ms);
  for (const std::string& part : {refusal.object, refusal.expected, refusal.got}) {
    absl::StrAppend(&payload, ",", absl::BytesToHexString(part));
  }
  status.SetPayload(kPayload, absl::Cord(payload));
  return status;
}

std::optional<Refusal> RefusalOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return std::nullopt;
  const std::vector<std::string> parts = absl::StrSplit(std::string(*payload), ',');
  int number = 0;
  int64_t retry_after_ms = 0;
  if (parts.size() != 5 || !absl::SimpleAtoi(parts[0], &number) ||
      !absl::SimpleAtoi(parts[1], &retry_after_ms)) {
    return std::nullopt;
  }
  return Refusal{static_cast<Reason>(number), absl::HexStringToBytes(parts[2]),
                 absl::HexStringToBytes(parts[3]), absl::HexStringToBytes(parts[4]),
                 retry_after_ms};
}

std::string Quoted(std::string_view text) {
  constexpr size_t kMost = 64;
  const bool cut = text.size() > kMost;
  return absl::StrCat("\"", absl::CHexEscape(std::string(text.substr(0, kMost))),
                      cut ? "\"…" : "\"");
}

}  // namespace chorus::engine
