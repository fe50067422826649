#include "server/cli/generation.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "server/cli/printable.h"
#include "server/cli/table.h"
#include "server/cli/units.h"

namespace chorus::cli {

Generation RunGeneration(v1::Inference::StubInterface* stub, const v1::GenerateRequest& request,
                         grpc::ClientContext* context,
                         absl::FunctionRef<void(const v1::GenerateResponse&)> on_response) {
  Generation result;
  result.model = request.model();
  const absl::Time begin = absl::Now();
  absl::Time first = absl::InfinitePast();
  bool complete = false;
  const auto reader = stub->Generate(context, request);
  for (v1::GenerateResponse response; reader->Read(&response);) {
    int64_t tokens = 0;
    for (const v1::ChoiceDelta& delta : response.choices()) {
      tokens += delta.token_ids_size();
      if (delta.finish_reason() != v1::FINISH_REASON_UNSPECIFIED) {
        result.finishes.push_back(delta.finish_reason());
      }
    }
    if (tokens > 0 && first == absl::InfinitePast()) {
      first = absl::Now();
      result.to_first_token = first - begin;
    } else if (tokens > 0) {
      result.first_to_last = absl::Now() - first;
      result.tokens_after_first += tokens;
    }
    if (response.has_started()) result.started = response.started();
    if (response.has_summary()) {
      result.summary = response.summary();
      complete = true;
    }
    on_response(response);
  }
  result.status = reader->Finish();
  if (result.status.ok() && !complete) {
    result.status = grpc::Status(grpc::StatusCode::DATA_LOSS, "the answer ended without a summary");
  }
  return result;
}

std::string FinishText(v1::FinishReason reason) {
  if (!v1::FinishReason_IsValid(reason)) return absl::StrCat("reason ", static_cast<int>(reason));
  return absl::AsciiStrToLower(v1::FinishReason_Name(reason));
}

std::string ActivationNotice(const Generation& generation) {
  const v1::Started& started = generation.started;
  if (!started.has_activation() || started.activation().has_position()) return "";
  return absl::StrCat("(the prompt does not invoke ", Printable(generation.model),
                      ": the base model answered)\n");
}

std::string StatsText(const std::vector<Generation>& generations) {
  Table table({"", "prompt", "cached", "tokens", "queued", "first token", "tokens/s", "ended"},
              {Table::kLeft, Table::kRight, Table::kRight, Table::kRight, Table::kRight,
               Table::kRight, Table::kRight, Table::kLeft});
  for (const Generation& generation : generations) {
    const v1::Usage& usage = generation.summary.usage();
    const double seconds = absl::ToDoubleSeconds(generation.first_to_last);
    std::string ended;
    for (v1::FinishReason reason : generation.finishes) {
      absl::StrAppend(&ended, ended.empty() ? "" : ", ", FinishText(reason));
    }
    if (!generation.status.ok()) ended = "failed";
    table.Add({generation.model, CountText(usage.prompt_tokens()), CountText(usage.cached_tokens()),
               CountText(usage.completion_tokens()),
               DurationText(absl::Microseconds(generation.summary.queue_time_us())),
               generation.to_first_token > absl::ZeroDuration()
                   ? DurationText(generation.to_first_token)
                   : "–",
               seconds > 0 ? absl::StrFormat("%.1f", generation.tokens_after_first / seconds) : "–",
               ended});
  }
  return table.Text();
}

}  // namespace chorus::cli
