// RequestBuilder: from what a client sent to what the engine runs. It finds the adapter, checks
// every field, renders chats, tokenises, and fills in what the client left to the server. All
// protocols build their requests here.
#ifndef CHORUS_SERVER_GENERATE_REQUEST_BUILDER_H_
#define CHORUS_SERVER_GENERATE_REQUEST_BUILDER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "chorus/v1/inference.pb.h"
#include "engine/adapters/catalog.h"
#include "engine/schedule/generate_request.h"
#include "server/generate/answer.h"
#include "server/model/serving_model.h"
#include "server/tenants/principal.h"

namespace chorus::server {

// The engine's id of a client's request: tenants choose their ids without seeing each other's.
std::string EngineRequestId(const std::string& tenant, const std::string& request_id);

struct BuiltRequest {
  engine::GenerateRequest engine;
  AnswerOptions answer;
  v1::Started started;
};

// Thread-safe. Tokenising a long text takes its time: not for gRPC's threads.
class RequestBuilder {
 public:
  // All must outlive this.
  RequestBuilder(const ServingModel* model, const engine::Catalog* catalog,
                 const engine::Clock* clock)
      : model_(model), catalog_(catalog), clock_(clock) {}

  // NotFound for a model that the tenant cannot see, FailedPrecondition for a chat without a
  // template, InvalidArgument for everything else that is wrong, each with its refusal.
  absl::StatusOr<BuiltRequest> Build(const v1::GenerateRequest& request,
                                     const Principal& principal) const;

  absl::StatusOr<v1::TokenizeResponse> Tokenize(const v1::TokenizeRequest& request) const;

 private:
  absl::StatusOr<std::vector<int32_t>> PromptOf(const v1::GenerateRequest& request) const;
  absl::StatusOr<PlainSpecial::Unmarked> Render(const v1::Chat& chat) const;
  absl::StatusOr<std::vector<int32_t>> EncodeChat(const PlainSpecial::Unmarked& rendered) const;
  kernels::SamplingParams SamplingOf(const v1::GenerateRequest& request) const;

  const ServingModel* const model_;
  const engine::Catalog* const catalog_;
  const engine::Clock* const clock_;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GENERATE_REQUEST_BUILDER_H_
