#include "server/cli/watch.h"

#include <grpcpp/grpcpp.h>

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "chorus/v1/adapters.grpc.pb.h"
#include "server/cli/adapter_text.h"
#include "server/cli/answer_json.h"
#include "server/cli/connection.h"
#include "server/cli/error_text.h"
#include "server/cli/printable.h"

namespace chorus::cli {
namespace {

std::string KindText(const v1::AdapterEvent& event) {
  if (event.kind() == v1::AdapterEvent::PINNED && !event.adapter().pinned()) return "unpinned";
  return absl::AsciiStrToLower(v1::AdapterEvent::Kind_Name(event.kind()));
}

std::string EventLine(const v1::AdapterEvent& event, bool json) {
  if (json) {
    nlohmann::ordered_json line = {{"revision", event.revision()},
                                   {"kind", v1::AdapterEvent::Kind_Name(event.kind())}};
    if (event.has_adapter()) line["adapter"] = AdapterJson(event.adapter());
    return JsonLine(line);
  }
  // Inside a snapshot there is none; elsewhere it has the digits of a time in microseconds.
  const std::string revision = event.revision() == 0 ? "-" : absl::StrCat(event.revision());
  if (event.kind() == v1::AdapterEvent::SNAPSHOT_END) {
    return absl::StrFormat("%16s  that is all so far; changes follow\n", revision);
  }
  const v1::Adapter& adapter = event.adapter();
  return absl::StrFormat("%16s  %-8s  %s\n", revision, KindText(event),
                         Printable(absl::StrCat(adapter.name(), " version ", adapter.version(),
                                                "  ", ShortDigest(adapter.digest()))));
}

// One call: shows its events, moves *revision along, returns how it ended.
grpc::Status WatchOnce(v1::Adapters::Stub* stub, bool json, const Console& console,
                       uint64_t* revision) {
  grpc::ClientContext context;
  v1::WatchAdaptersRequest request;
  request.set_since_revision(*revision);
  const auto reader = stub->Watch(&context, request);
  bool in_snapshot = *revision == 0;
  for (v1::AdapterEvent event; reader->Read(&event);) {
    console.out->Write(EventLine(event, json));
    if (console.out->closed()) {
      context.TryCancel();
      break;
    }
    // Half a snapshot is no place to go on from.
    if (event.kind() == v1::AdapterEvent::SNAPSHOT_END) in_snapshot = false;
    if (!in_snapshot) *revision = std::max(*revision, event.revision());
  }
  return reader->Finish();
}

}  // namespace

ExitCode RunWatchCommand(const Args& args, const Console& console) {
  OptionSet set(
      "chorus adapters watch [flags]",
      "Shows every adapter, then every change as it happens, until Ctrl-C: the revision, what\n"
      "happened, and to which adapter. Goes on where it was when it cannot keep up.",
      0, 0);
  ServerOption server;
  uint64_t revision = 0;
  bool json = false;
  server.AddTo(&set);
  set.Add("--since", "REV", "only the changes after this revision", &revision);
  set.AddSwitch("--json", "prints JSON objects, one a line", &json);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;

  const auto stub = v1::Adapters::NewStub(Connect(server.address));
  for (;;) {
    const uint64_t before = revision;
    const grpc::Status status = WatchOnce(stub.get(), json, console, &revision);
    if (console.out->closed()) return ExitCode::kOk;
    if (status.error_code() != grpc::StatusCode::OUT_OF_RANGE) {
      if (!status.ok()) return ReportError(console, status, server.address);
      console.err->Write("chorus: the server ended the watch\n");
      return ExitCode::kRefused;
    }
    if (revision == before && revision == 0) {
      return ReportError(console, status, server.address);  // not even a snapshot
    }
    // A revision so old that the server forgot what came after it: all from the beginning.
    if (revision == before) revision = 0;
    console.err->Write(revision == 0 ? "chorus: too far behind for the server; everything again\n"
                                     : absl::StrCat("chorus: fell behind; going on after revision ",
                                                    revision, "\n"));
  }
}

}  // namespace chorus::cli
