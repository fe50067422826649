#include "server/cli/lifecycle_commands.h"

#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "chorus/v1/admin.grpc.pb.h"
#include "chorus/v1/inference.grpc.pb.h"
#include "server/cli/connection.h"
#include "server/cli/error_text.h"
#include "server/cli/printable.h"

namespace chorus::cli {

ExitCode RunCancelCommand(const Args& args, const Console& console) {
  OptionSet set("chorus cancel [flags] REQUEST_ID",
                "Ends a generation early; its stream finishes with what it has.", 1, 1);
  ServerOption server;
  server.AddTo(&set);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;
  v1::CancelRequest request;
  request.set_request_id(parsed.words[0]);
  v1::CancelResponse response;
  grpc::ClientContext context;
  SetTimeout(&context, kQuickCall);
  const grpc::Status status =
      v1::Inference::NewStub(Connect(server.address))->Cancel(&context, request, &response);
  if (!status.ok()) return ReportError(console, status, server.address);
  console.out->Write(
      absl::StrCat(Printable(parsed.words[0]), " is cancelled, if it was running\n"));
  return ExitCode::kOk;
}

ExitCode RunDrainCommand(const Args& args, const Console& console) {
  OptionSet set(
      "chorus drain [flags]",
      "Takes the server out of service: it refuses new requests and finishes running ones.", 0, 0);
  ServerOption server;
  server.AddTo(&set);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;
  v1::DrainResponse response;
  grpc::ClientContext context;
  SetTimeout(&context, kQuickCall);
  const grpc::Status status =
      v1::Admin::NewStub(Connect(server.address))->Drain(&context, {}, &response);
  if (!status.ok()) return ReportError(console, status, server.address);
  console.out->Write("draining; chorus status shows what still runs\n");
  return ExitCode::kOk;
}

}  // namespace chorus::cli
