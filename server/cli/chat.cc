#include "server/cli/chat.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "server/cli/answer_view.h"
#include "server/cli/connection.h"
#include "server/cli/error_text.h"
#include "server/cli/generation.h"
#include "server/cli/interrupts.h"
#include "server/cli/line_reader.h"
#include "server/cli/printable.h"
#include "server/cli/request_options.h"

namespace chorus::cli {
namespace {

constexpr char kHelp[] =
    "/reset forgets the conversation, /quit ends it; Ctrl-C stops an answer, twice the program\n";

struct ChatOptions {
  ServerOption server;
  std::string model;
  std::string system;
  RequestOptions request;

  void AddTo(OptionSet* options) {
    server.AddTo(options);
    options->Add("--model", "NAME", "the base's name or an adapter's name, name@version or digest",
                 &model);
    options->Add("--system", "TEXT", "a system message before all others", &system);
    request.AddTo(options);
  }
};

class Conversation {
 public:
  Conversation(const ChatOptions& options, v1::GenerateRequest request, const Console& console)
      : options_(options),
        console_(console),
        stub_(v1::Inference::NewStub(Connect(options.server.address))),
        request_(std::move(request)) {
    Reset();
  }

  ExitCode Run();

 private:
  void Reset() {
    request_.mutable_chat()->clear_messages();
    if (!options_.system.empty()) AddMessage("system", options_.system);
  }
  void AddMessage(const char* role, const std::string& content) {
    v1::ChatMessage* message = request_.mutable_chat()->add_messages();
    message->set_role(role);
    message->set_content(content);
  }
  // False: the conversation is over.
  bool Obey(const std::string& command);
  ExitCode Say(const std::string& text);
  Generation Answer(std::string* text);
  void Prompt(absl::string_view mark) {
    if (console_.in_is_terminal) console_.out->Write(console_.out->Dim(mark));
  }

  const ChatOptions& options_;
  const Console& console_;
  const std::unique_ptr<v1::Inference::Stub> stub_;
  v1::GenerateRequest request_;  // with the conversation so far
  Interrupts interrupts_;
  bool interrupted_ = false;  // Ctrl-C came, and no line since
};

bool Conversation::Obey(const std::string& command) {
  if (command == "/quit" || command == "/exit") return false;
  if (command == "/reset") {
    Reset();
    console_.err->Write("(forgotten)\n");
  } else {
    console_.err->Write(kHelp);
  }
  return true;
}

// The answer streams in a thread of its own, so that this one can wait for Ctrl-C.
Generation Conversation::Answer(std::string* text) {
  int done[2];
  CHORUS_CHECK_EQ(pipe2(done, O_CLOEXEC), 0);
  Generation generation;
  grpc::ClientContext context;
  const auto view = MakePlainView(console_.out);
  std::thread streaming([&] {
    generation =
        RunGeneration(stub_.get(), request_, &context, [&](const v1::GenerateResponse& response) {
          for (const v1::ChoiceDelta& delta : response.choices()) {
            view->Text(0, delta.text());
            *text += delta.text();
          }
        });
    view->End(0, "");
    close(done[1]);  // the other end becomes readable
  });
  for (;;) {
    pollfd waits[] = {{done[0], POLLIN, 0}, {interrupts_.fd(), POLLIN, 0}};
    if (poll(waits, 2, -1) < 0) continue;
    if (waits[0].revents != 0) break;
    if (waits[1].revents != 0 && interrupts_.Take()) {
      interrupted_ = true;
      context.TryCancel();
    }
  }
  streaming.join();
  close(done[0]);
  return generation;
}

ExitCode Conversation::Say(const std::string& text) {
  AddMessage("user", text);
  std::string answer;
  const Generation generation = Answer(&answer);
  const bool stopped = interrupted_ && generation.status.error_code() == grpc::CANCELLED;
  if (generation.status.ok() || (stopped && !answer.empty())) {
    AddMessage("assistant", answer);
  } else {
    // A question without an answer is no part of the conversation.
    request_.mutable_chat()->mutable_messages()->RemoveLast();
  }
  console_.err->Write(ActivationNotice(generation));
  if (stopped) console_.err->Write("(stopped)\n");
  if (generation.status.ok() || stopped) return ExitCode::kOk;
  return ReportError(console_, generation.status, options_.server.address);
}

ExitCode Conversation::Run() {
  LineReader reader(console_.in_fd, &interrupts_);
  ExitCode last = ExitCode::kOk;
  if (console_.in_is_terminal) console_.err->Write(kHelp);
  for (;;) {
    Prompt("you> ");
    std::string line;
    const LineReader::Event event = reader.Next(&line);
    if (event == LineReader::Event::kInterrupt) {
      console_.out->Write("\n");
      if (interrupted_) return last;
      interrupted_ = true;
      console_.err->Write("(Ctrl-C again ends)\n");
      continue;
    }
    if (event == LineReader::Event::kEnd) {
      if (console_.in_is_terminal) console_.out->Write("\n");
      return last;
    }
    interrupted_ = false;
    const std::string text(absl::StripAsciiWhitespace(line));
    if (text.empty()) continue;
    if (text[0] == '/') {
      if (!Obey(text)) return last;
      continue;
    }
    Prompt(absl::StrCat(Printable(options_.model), "> "));
    last = Say(text);
    if (last == ExitCode::kUnreachable || console_.out->closed()) return last;
  }
}

}  // namespace

ExitCode RunChatCommand(const Args& args, const Console& console) {
  ChatOptions options;
  OptionSet set(
      "chorus chat [flags]",
      "A conversation with one model, a line a message. /reset forgets what was said, /quit\n"
      "ends. Ctrl-C stops the answer, twice the program.",
      0, 0);
  options.AddTo(&set);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;
  v1::GenerateRequest request;
  const absl::Status status = options.request.Fill(&request);
  if (!status.ok()) return UsageError(console, "chorus chat", status.message());
  if (options.model.empty()) {
    return UsageError(console, "chorus chat",
                      "--model is missing; chorus status shows the base's name");
  }
  request.set_model(options.model);
  return Conversation(options, std::move(request), console).Run();
}

}  // namespace chorus::cli
