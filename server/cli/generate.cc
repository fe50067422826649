#include "server/cli/generate.h"

#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernels/mutex.h"
#include "kernels/status_macros.h"
#include "server/cli/answer_json.h"
#include "server/cli/answer_view.h"
#include "server/cli/connection.h"
#include "server/cli/error_text.h"
#include "server/cli/generation.h"
#include "server/cli/printable.h"
#include "server/cli/prompt.h"
#include "server/cli/request_options.h"

namespace chorus::cli {
namespace {

constexpr int32_t kMaxChoices = 16;  // the API's limit

struct GenerateOptions {
  ServerOption server;
  std::vector<std::string> models;
  RequestOptions request;
  std::optional<int32_t> n;
  std::optional<int32_t> logprobs;
  std::string token_ids;
  bool chat = false;
  std::string system;
  std::string request_id;
  bool json = false;
  bool stats = false;

  void AddTo(OptionSet* options) {
    server.AddTo(options);
    options->Add("--model", "NAME",
                 "the base's name or an adapter's name, name@version or digest; several\n"
                 "answer side by side",
                 &models);
    options->AddSwitch("--chat", "sends PROMPT as a user's message, through the chat template",
                       &chat);
    options->Add("--system", "TEXT", "a system message before it; implies --chat", &system);
    options->Add("--token-ids", "IDS", "token ids \"1,2,3\" instead of PROMPT", &token_ids);
    options->Add("--n", "N", "answers to the same prompt, 1 to 16", &n);
    request.AddTo(options);
    options->Add("--logprobs", "N", "shows each token's log-probability and those of the N best",
                 &logprobs);
    options->Add("--request-id", "ID", "a name for chorus cancel", &request_id);
    options->AddSwitch("--json", "prints JSON objects, one a line", &json);
    options->AddSwitch("--stats", "says at the end, on standard error, what it took", &stats);
  }
};

absl::Status Check(const GenerateOptions& options, const Args& words) {
  if (options.models.empty()) {
    return absl::InvalidArgumentError("--model is missing; chorus status shows the base's name");
  }
  if (options.n && (*options.n < 1 || *options.n > kMaxChoices)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--n wants 1 to ", kMaxChoices, ", got ", *options.n));
  }
  if (!options.token_ids.empty() && !words.empty()) {
    return absl::InvalidArgumentError("--token-ids and PROMPT exclude each other");
  }
  if (!options.token_ids.empty() && (options.chat || !options.system.empty())) {
    return absl::InvalidArgumentError("--token-ids and --chat exclude each other");
  }
  if (!options.request_id.empty() && options.models.size() > 1) {
    return absl::InvalidArgumentError(
        "--request-id names one request, but there are several models");
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::GenerateRequest> MakeRequest(const GenerateOptions& options, const Args& words,
                                                const Console& console) {
  CHORUS_RETURN_IF_ERROR(Check(options, words));
  v1::GenerateRequest request;
  CHORUS_RETURN_IF_ERROR(options.request.Fill(&request));
  if (!options.token_ids.empty()) {
    const absl::StatusOr<std::vector<int32_t>> ids = ParseTokenIds(options.token_ids);
    if (!ids.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--token-ids ", ids.status().message()));
    }
    request.mutable_token_ids()->mutable_ids()->Add(ids->begin(), ids->end());
  } else {
    CHORUS_ASSIGN_OR_RETURN(const std::string text, ReadPrompt(words, console));
    if (options.chat || !options.system.empty()) {
      *request.mutable_chat() = MakeChat(options.system, text);
    } else {
      request.set_text(text);
    }
  }
  if (options.n) request.set_n(*options.n);
  if (options.logprobs) request.set_logprobs(*options.logprobs);
  request.set_request_id(options.request_id);
  return request;
}

// Each token on a line: its log-probability, itself, the best ones.
std::string LogprobLines(const v1::ChoiceDelta& delta) {
  std::string lines;
  for (const v1::TokenLogprobs& logprobs : delta.logprobs()) {
    absl::StrAppendFormat(&lines, "%8.3f  %s", logprobs.token().logprob(),
                          Quoted(logprobs.token().bytes()));
    for (const v1::TokenLogprob& top : logprobs.top()) {
      absl::StrAppendFormat(&lines, "  | %s %.3f", Quoted(top.bytes()), top.logprob());
    }
    lines += "\n";
  }
  return lines;
}

// Brings what the models' threads receive onto the console.
class Listener {
 public:
  Listener(const GenerateOptions& options, const Console& console)
      : options_(options), console_(console), choices_(static_cast<size_t>(options.n.value_or(1))) {
    if (options.json) return;
    std::vector<std::string> titles;
    for (const std::string& model : options.models) {
      for (size_t choice = 0; choice < choices_; ++choice) {
        titles.push_back(choices_ == 1 ? model : absl::StrCat(model, " ", choice + 1));
      }
    }
    ended_.resize(titles.size());
    view_ = MakeAnswerView(console.out, std::move(titles));
  }

  // False when nobody reads on.
  bool Receive(size_t model, const v1::GenerateResponse& response) CHORUS_EXCLUDES(mutex_) {
    const kernels::MutexLock lock(&mutex_);
    if (options_.json) console_.out->Write(AnswerJson(options_.models[model], response));
    if (options_.json) return !console_.out->closed();
    for (const v1::ChoiceDelta& delta : response.choices()) {
      const auto choice = static_cast<size_t>(delta.index());
      const size_t voice = model * choices_ + choice;
      if (choice >= choices_ || ended_[voice]) continue;
      view_->Text(voice, options_.logprobs ? LogprobLines(delta) : delta.text());
      if (delta.finish_reason() == v1::FINISH_REASON_UNSPECIFIED) continue;
      // Beside others, an answer that was cut off must not look like one that ended.
      if (ended_.size() > 1 && delta.finish_reason() != v1::STOP) view_->Text(voice, "…");
      End(voice, "");
    }
    return !console_.out->closed();
  }

  void End(size_t model, const grpc::Status& status) CHORUS_EXCLUDES(mutex_) {
    const kernels::MutexLock lock(&mutex_);
    if (options_.json) {
      if (!status.ok()) console_.out->Write(AnswerErrorJson(options_.models[model], status));
      return;
    }
    const std::string problem = status.ok() ? "" : ErrorLine(status, options_.server.address);
    for (size_t choice = 0; choice < choices_; ++choice) End(model * choices_ + choice, problem);
  }

 private:
  void End(size_t voice, const std::string& problem) CHORUS_REQUIRES(mutex_) {
    if (ended_[voice]) return;
    ended_[voice] = true;
    view_->End(voice, problem);
  }

  const GenerateOptions& options_;
  const Console& console_;
  const size_t choices_;
  kernels::Mutex mutex_;
  std::unique_ptr<AnswerView> view_;
  std::vector<bool> ended_ CHORUS_GUARDED_BY(mutex_);
};

ExitCode Report(const GenerateOptions& options, const std::vector<Generation>& generations,
                const Console& console) {
  ExitCode exit = ExitCode::kOk;
  if (console.out->closed()) return exit;  // nobody reads on; that is no mistake
  for (const Generation& generation : generations) {
    if (!options.json) console.err->Write(ActivationNotice(generation));
    if (generation.status.ok()) continue;
    exit = ReportError(console, generation.status, options.server.address,
                       generations.size() > 1 ? generation.model : "");
    // Without a server, one message says it all.
    if (exit == ExitCode::kUnreachable) break;
  }
  if (options.stats) console.err->Write("\n" + StatsText(generations));
  return exit;
}

}  // namespace

ExitCode RunGenerateCommand(const Args& args, const Console& console) {
  GenerateOptions options;
  OptionSet set(
      "chorus generate [flags] PROMPT",
      "Streams the model's answer to PROMPT (\"-\" or nothing: standard input). With several\n"
      "--model the same prompt goes to all of them at the same time.",
      0, 1);
  options.AddTo(&set);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;
  const absl::StatusOr<v1::GenerateRequest> request = MakeRequest(options, parsed.words, console);
  if (!request.ok()) return UsageError(console, "chorus generate", request.status().message());

  const auto stub = v1::Inference::NewStub(Connect(options.server.address));
  Listener listener(options, console);
  std::vector<Generation> generations(options.models.size());
  const auto run = [&](size_t model) {
    v1::GenerateRequest own = *request;
    own.set_model(options.models[model]);
    grpc::ClientContext context;
    generations[model] =
        RunGeneration(stub.get(), own, &context, [&](const v1::GenerateResponse& response) {
          if (!listener.Receive(model, response)) context.TryCancel();
        });
    listener.End(model, generations[model].status);
  };
  std::vector<std::thread> others;
  for (size_t model = 1; model < options.models.size(); ++model) others.emplace_back(run, model);
  run(0);
  for (std::thread& other : others) other.join();
  return Report(options, generations, console);
}

}  // namespace chorus::cli
