#include "server/grpc/adapters_service.h"

#include "absl/strings/str_cat.h"
#include "kernels/status_macros.h"
#include "server/grpc/adapter_messages.h"
#include "server/grpc/unary.h"
#include "server/grpc/watch_reactor.h"

namespace chorus::server {
namespace {

constexpr int32_t kDefaultPage = 100;
constexpr int32_t kMaxPage = 1000;

// The page token is the last name of the page before.
absl::StatusOr<v1::ListAdaptersResponse> ListPage(const Front& front,
                                                  const v1::ListAdaptersRequest& request) {
  if (request.page_size() < 0 || request.page_size() > kMaxPage) {
    return engine::Refuse(engine::Reason::kValueOutOfRange, "page_size",
                          absl::StrCat("0 to ", kMaxPage), absl::StrCat(request.page_size()));
  }
  const int32_t page = request.page_size() == 0 ? kDefaultPage : request.page_size();
  v1::ListAdaptersResponse response;
  response.set_revision(front.catalog->revision());  // before the list: a watcher misses nothing
  // One more than asked for says whether there are more.
  const std::vector<engine::AdapterInfo> some =
      front.catalog->ListAfter(front.PrincipalOf().tenant, request.page_token(), page + 1);
  for (const engine::AdapterInfo& info : some) {
    if (response.adapters_size() == page) {
      response.set_next_page_token(response.adapters(page - 1).name());
      break;
    }
    *response.add_adapters() = ToProto(info, front.engine->StateOf(info.tenant, info.digest));
  }
  return response;
}

}  // namespace

grpc::ServerReadReactor<grpc::ByteBuffer>* AdaptersService::Upload(
    grpc::CallbackServerContext* context, grpc::ByteBuffer* response) {
  return new UploadReactor(front_, &uploads_, context, response);
}

grpc::ServerUnaryReactor* AdaptersService::Get(grpc::CallbackServerContext* /*context*/,
                                               const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) {
  const auto get =
      [front = front_](const v1::GetAdapterRequest& message) -> absl::StatusOr<v1::Adapter> {
    CHORUS_ASSIGN_OR_RETURN(const engine::AdapterInfo info,
                            front->catalog->Get(front->PrincipalOf().tenant, message.name()));
    return ToProto(info, front->engine->StateOf(info.tenant, info.digest));
  };
  return UnaryCall<v1::GetAdapterRequest>(front_, Method::kGet, front_->tasks, request, response,
                                          get);
}

grpc::ServerUnaryReactor* AdaptersService::List(grpc::CallbackServerContext* /*context*/,
                                                const grpc::ByteBuffer* request,
                                                grpc::ByteBuffer* response) {
  const auto list = [front = front_](const v1::ListAdaptersRequest& message) {
    return ListPage(*front, message);
  };
  return UnaryCall<v1::ListAdaptersRequest>(front_, Method::kList, front_->tasks, request, response,
                                            list);
}

grpc::ServerUnaryReactor* AdaptersService::Delete(grpc::CallbackServerContext* /*context*/,
                                                  const grpc::ByteBuffer* request,
                                                  grpc::ByteBuffer* response) {
  const auto remove =
      [front = front_](const v1::DeleteAdapterRequest& message) -> absl::StatusOr<v1::Adapter> {
    std::optional<int64_t> if_version;
    if (message.has_if_version()) if_version = message.if_version();
    const std::string tenant = front->PrincipalOf().tenant;
    CHORUS_ASSIGN_OR_RETURN(const engine::AdapterInfo info,
                            front->catalog->Delete(tenant, message.name(), if_version));
    front->pins->Left(tenant, info.digest);
    return ToProto(info, front->engine->StateOf(info.tenant, info.digest));
  };
  return UnaryCall<v1::DeleteAdapterRequest>(front_, Method::kDelete, front_->files, request,
                                             response, remove);
}

grpc::ServerUnaryReactor* AdaptersService::Pin(grpc::CallbackServerContext* /*context*/,
                                               const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) {
  const auto pin =
      [front = front_](const v1::PinAdapterRequest& message) -> absl::StatusOr<v1::Adapter> {
    CHORUS_ASSIGN_OR_RETURN(
        const engine::AdapterInfo info,
        front->pins->Set(front->PrincipalOf().tenant, message.name(), message.pinned()));
    return ToProto(info, front->engine->StateOf(info.tenant, info.digest));
  };
  return UnaryCall<v1::PinAdapterRequest>(front_, Method::kPin, front_->files, request, response,
                                          pin);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* AdaptersService::Watch(
    grpc::CallbackServerContext* /*context*/, const grpc::ByteBuffer* request) {
  return WatchReactor::Start(front_, *request);
}

}  // namespace chorus::server
