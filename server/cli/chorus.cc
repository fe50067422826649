#include "server/cli/chorus.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/cli/adapter_commands.h"
#include "server/cli/bench_command.h"
#include "server/cli/chat.h"
#include "server/cli/generate.h"
#include "server/cli/lifecycle_commands.h"
#include "server/cli/status_command.h"
#include "server/cli/tokenize_command.h"
#include "server/cli/upload.h"
#include "server/cli/watch.h"

namespace chorus::cli {
namespace {

struct Command {
  const char* name;     // "adapters list"
  const char* summary;  // one line of the program's help
  ExitCode (*run)(const Args&, const Console&);
};

constexpr Command kCommands[] = {
    {"generate", "streams the answer of one model, or of several side by side",
     &RunGenerateCommand},
    {"chat", "talks with one model", &RunChatCommand},
    {"adapters upload", "uploads a PEFT LoRA adapter", &RunUploadCommand},
    {"adapters list", "shows all adapters", &RunListCommand},
    {"adapters get", "shows one adapter", &RunGetCommand},
    {"adapters delete", "deletes an adapter", &RunDeleteCommand},
    {"adapters pin", "keeps an adapter in the pool", &RunPinCommand},
    {"adapters unpin", "lets it leave the pool again", &RunUnpinCommand},
    {"adapters watch", "shows every change as it happens", &RunWatchCommand},
    {"status", "shows what the server serves and how busy it is", &RunStatusCommand},
    {"tokenize", "shows the tokens of a text", &RunTokenizeCommand},
    {"cancel", "ends a generation early", &RunCancelCommand},
    {"drain", "takes the server out of service", &RunDrainCommand},
    {"bench", "measures the server under load", &RunBenchCommand},
};

std::string ProgramHelp() {
  std::string text =
      "usage: chorus COMMAND [flags] …\n\n"
      "Talks to chorusd, the server of many LoRA adapters over one base model.\n\n";
  for (const Command& command : kCommands) {
    std::string line = absl::StrCat("  ", command.name);
    line.resize(20, ' ');
    absl::StrAppend(&text, line, command.summary, "\n");
  }
  absl::StrAppend(
      &text,
      "\nchorus COMMAND --help shows a command's flags. --server HOST:PORT or $CHORUS_SERVER "
      "names the\nserver. Exit status: 0 done, 1 refused, 2 wrong usage, 3 no server "
      "there.\n");
  return text;
}

// How many of `args` name `command`; 0: they name another.
size_t WordsOf(const Command& command, const Args& args) {
  if (!args.empty() && args[0] == command.name) return 1;
  if (args.size() >= 2 && absl::StrCat(args[0], " ", args[1]) == command.name) return 2;
  return 0;
}

}  // namespace

ExitCode RunChorus(const Args& args, const Console& console) {
  for (const Command& command : kCommands) {
    const size_t words = WordsOf(command, args);
    if (words > 0) {
      return command.run(Args(args.begin() + static_cast<ptrdiff_t>(words), args.end()), console);
    }
  }
  const bool wants_help = std::any_of(args.begin(), args.end(), [](const std::string& arg) {
    return arg == "--help" || arg == "-h" || arg == "help";
  });
  if (wants_help) {
    console.out->Write(ProgramHelp());
    return ExitCode::kOk;
  }
  if (args.empty()) {
    console.err->Write(ProgramHelp());
    return ExitCode::kUsage;
  }
  const bool half = args[0] == "adapters";
  return UsageError(console, "chorus",
                    half ? "adapters wants one of upload, list, get, delete, pin, unpin, watch"
                         : absl::StrCat("there is no command ", args[0]));
}

}  // namespace chorus::cli
