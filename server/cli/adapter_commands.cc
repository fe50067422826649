#include "server/cli/adapter_commands.h"

#include <grpcpp/grpcpp.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "chorus/v1/adapters.grpc.pb.h"
#include "server/cli/adapter_text.h"
#include "server/cli/answer_json.h"
#include "server/cli/connection.h"
#include "server/cli/error_text.h"

namespace chorus::cli {
namespace {

// Deleting and pinning wait for the store's disk, or for a load.
constexpr absl::Duration kSlowCall = absl::Minutes(2);
constexpr int kPageSize = 1000;

// What these commands share: a server, JSON or not, one call that answers with an adapter.
struct AdapterOptions {
  explicit AdapterOptions(OptionSet* set) {
    server.AddTo(set);
    set->AddSwitch("--json", "prints the adapter as a JSON object", &json);
  }

  ServerOption server;
  bool json = false;
};

template <class Request>
using AdapterCall = grpc::Status (v1::Adapters::StubInterface::*)(grpc::ClientContext*,
                                                                  const Request&, v1::Adapter*);

template <class Request>
ExitCode CallForAdapter(const AdapterOptions& options, const Console& console,
                        AdapterCall<Request> call, const Request& request, absl::string_view done) {
  const std::unique_ptr<v1::Adapters::StubInterface> stub =
      v1::Adapters::NewStub(Connect(options.server.address));
  grpc::ClientContext context;
  SetTimeout(&context, kSlowCall);
  v1::Adapter adapter;
  const grpc::Status status = (stub.get()->*call)(&context, request, &adapter);
  if (!status.ok()) return ReportError(console, status, options.server.address);
  if (options.json) {
    console.out->Write(JsonLine(AdapterJson(adapter)));
  } else if (done.empty()) {
    console.out->Write(AdapterText(adapter));
  } else {
    console.out->Write(absl::StrCat(done, " ", AdapterLine(adapter), "\n"));
  }
  return ExitCode::kOk;
}

ExitCode RunPin(const Args& args, const Console& console, bool pinned) {
  OptionSet set(absl::StrCat("chorus adapters ", pinned ? "pin" : "unpin", " [flags] NAME"),
                pinned ? "Loads the adapter into the pool and keeps it there."
                       : "Lets the adapter leave the pool when others need the room.",
                1, 1);
  const AdapterOptions options(&set);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;
  v1::PinAdapterRequest request;
  request.set_name(parsed.words[0]);
  request.set_pinned(pinned);
  return CallForAdapter(options, console, &v1::Adapters::StubInterface::Pin, request,
                        pinned ? "pinned" : "unpinned");
}

// Every page of the list.
grpc::Status ListAll(const std::string& address, std::vector<v1::Adapter>* adapters) {
  const auto stub = v1::Adapters::NewStub(Connect(address));
  v1::ListAdaptersRequest request;
  request.set_page_size(kPageSize);
  do {
    grpc::ClientContext context;
    SetTimeout(&context, kQuickCall);
    v1::ListAdaptersResponse response;
    const grpc::Status status = stub->List(&context, request, &response);
    if (!status.ok()) return status;
    adapters->insert(adapters->end(), response.adapters().begin(), response.adapters().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return grpc::Status::OK;
}

}  // namespace

ExitCode RunListCommand(const Args& args, const Console& console) {
  OptionSet set("chorus adapters list [flags]", "Shows the adapters that the server holds.", 0, 0);
  ServerOption server;
  bool json = false;
  server.AddTo(&set);
  set.AddSwitch("--json", "prints a JSON object for each adapter, one a line", &json);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;
  std::vector<v1::Adapter> adapters;
  const grpc::Status status = ListAll(server.address, &adapters);
  if (!status.ok()) return ReportError(console, status, server.address);
  if (json) {
    for (const v1::Adapter& adapter : adapters) console.out->Write(JsonLine(AdapterJson(adapter)));
  } else if (adapters.empty()) {
    console.err->Write("no adapters; chorus adapters upload NAME DIR brings one\n");
  } else {
    console.out->Write(AdapterTable(adapters));
  }
  return ExitCode::kOk;
}

ExitCode RunGetCommand(const Args& args, const Console& console) {
  OptionSet set("chorus adapters get [flags] NAME",
                "Shows one adapter. NAME is a name, name@version or a digest, sha256:…", 1, 1);
  const AdapterOptions options(&set);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;
  v1::GetAdapterRequest request;
  request.set_name(parsed.words[0]);
  return CallForAdapter(options, console, &v1::Adapters::StubInterface::Get, request, "");
}

ExitCode RunDeleteCommand(const Args& args, const Console& console) {
  OptionSet set("chorus adapters delete [flags] NAME",
                "Deletes an adapter. Its name is gone at once; requests that run with it finish.",
                1, 1);
  const AdapterOptions options(&set);
  std::optional<int64_t> if_version;
  set.Add("--if-version", "N", "only while the name is at version N", &if_version);
  const OptionSet::Parsed parsed = set.Parse(args, console);
  if (parsed.exit) return *parsed.exit;
  v1::DeleteAdapterRequest request;
  request.set_name(parsed.words[0]);
  if (if_version) request.set_if_version(*if_version);
  return CallForAdapter(options, console, &v1::Adapters::StubInterface::Delete, request, "deleted");
}

ExitCode RunPinCommand(const Args& args, const Console& console) {
  return RunPin(args, console, true);
}

ExitCode RunUnpinCommand(const Args& args, const Console& console) {
  return RunPin(args, console, false);
}

}  // namespace chorus::cli
