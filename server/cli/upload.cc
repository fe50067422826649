#include "server/cli/upload.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "chorus/v1/adapters.grpc.pb.h"
#include "kernels/status_macros.h"
#include "server/cli/adapter_text.h"
#include "server/cli/answer_json.h"
#include "server/cli/connection.h"
#include "server/cli/error_text.h"
#include "server/cli/input_file.h"
#include "server/cli/printable.h"
#include "server/cli/progress_bar.h"

namespace chorus::cli {
namespace {

struct UploadOptions {
  ServerOption server;
  std::optional<int64_t> if_version;
  bool json = false;

  void AddTo(OptionSet* options) {
    server.AddTo(options);
    options->Add("--if-version", "N",
                 "replaces version N and no other; 0: only if the name is free", &if_version);
    options->AddSwitch("--json", "prints the adapter as a JSON object", &json);
  }
};

// The two files that make an adapter, open, and what the upload's first message says of them.
struct AdapterFiles {
  InputFile config;
  InputFile tensors;
  v1::UploadBegin begin;
};

absl::StatusOr<AdapterFiles> OpenAdapter(const std::string& name, const std::string& directory) {
  CHORUS_ASSIGN_OR_RETURN(InputFile config, InputFile::Open(directory + "/adapter_config.json"));
  absl::StatusOr<InputFile> tensors = InputFile::Open(directory + "/adapter_model.safetensors");
  if (absl::IsNotFound(tensors.status()) &&
      access((directory + "/adapter_model.bin").c_str(), F_OK) == 0) {
    return absl::NotFoundError(absl::StrCat(
        directory,
        ": holds adapter_model.bin, but only adapter_model.safetensors is taken; load it "
        "with PEFT and save it with save_pretrained(…, safe_serialization=True)"));
  }
  CHORUS_RETURN_IF_ERROR(tensors.status());
  AdapterFiles files{std::move(config), *std::move(tensors), {}};
  files.begin.set_name(name);
  files.begin.set_config_bytes(files.config.size());
  files.begin.set_tensor_bytes(files.tensors.size());
  CHORUS_ASSIGN_OR_RETURN(*files.begin.mutable_config_sha256(), Sha256Hex(&files.config));
  CHORUS_ASSIGN_OR_RETURN(*files.begin.mutable_tensor_sha256(), Sha256Hex(&files.tensors));
  return files;
}

using Writer = grpc::ClientWriterInterface<v1::UploadRequest>;

// Stops early without an error where the server does not read on: its status says why.
absl::Status Send(AdapterFiles* files, Writer* writer, ProgressBar* bar) {
  v1::UploadRequest message;
  *message.mutable_begin() = files->begin;
  if (!writer->Write(message)) return absl::OkStatus();
  bool open = true;
  CHORUS_RETURN_IF_ERROR(files->config.Read(kUploadPiece, [&](absl::string_view bytes) {
    message.set_config(bytes.data(), bytes.size());
    open = writer->Write(message);
    bar->Advance(bytes.size());
    return open;
  }));
  if (!open) return absl::OkStatus();
  return files->tensors.Read(kUploadPiece, [&](absl::string_view bytes) {
    message.set_tensors(bytes.data(), bytes.size());
    open = writer->Write(message);
    bar->Advance(bytes.size());
    return open;
  });
}

struct Outcome {
  absl::Status local;  // reading the files
  grpc::Status remote;
  v1::UploadResponse response;
};

Outcome Upload(AdapterFiles* files, const std::string& address, Output* progress) {
  const auto stub = v1::Adapters::NewStub(Connect(address));
  Outcome outcome;
  grpc::ClientContext context;
  const auto writer = stub->Upload(&context, &outcome.response);
  ProgressBar bar(progress, files->begin.name(), files->config.size() + files->tensors.size());
  outcome.local = Send(files, writer.get(), &bar);
  if (!outcome.local.ok()) context.TryCancel();
  bar.Say("sent; the server checks and stores it");
  writer->WritesDone();
  outcome.remote = writer->Finish();
  return outcome;
}

}  // namespace

ExitCode RunUploadCommand(const Args& args, const Console& console) {
  UploadOptions options;
  OptionSet set(
      "chorus adapters upload [flags] NAME DIR",
      "Uploads the PEFT LoRA adapter in DIR (adapter_config.json, adapter_model.safetensors)\n"
      "as NAME. When this returns, the adapter is checked, stored durably and ready to serve.",
      2, 2);
  options.AddTo(&set);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;

  absl::StatusOr<AdapterFiles> files = OpenAdapter(parsed.words[0], parsed.words[1]);
  if (!files.ok()) {
    return UsageError(console, "chorus adapters upload", Printable(files.status().message()));
  }
  if (options.if_version) files->begin.set_if_version(*options.if_version);
  const Outcome outcome = Upload(&*files, options.server.address, console.err);
  if (!outcome.local.ok()) {
    return UsageError(console, "chorus adapters upload", Printable(outcome.local.message()));
  }
  if (!outcome.remote.ok()) return ReportError(console, outcome.remote, options.server.address);
  const v1::Adapter& adapter = outcome.response.adapter();
  if (options.json) {
    console.out->Write(JsonLine(AdapterJson(adapter)));
    return ExitCode::kOk;
  }
  console.out->Write(AdapterLine(adapter) + "\n");
  for (const std::string& warning : adapter.warnings()) {
    console.err->Write(absl::StrCat("  warning: ", Printable(warning), "\n"));
  }
  return ExitCode::kOk;
}

}  // namespace chorus::cli
