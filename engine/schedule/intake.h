// Intake: what may be submitted at all, whatever runs at the moment, and the request made of it.
// Looks at constants only, so any thread may call it: a caller's own searches and hashes.
#ifndef CHORUS_ENGINE_SCHEDULE_INTAKE_H_
#define CHORUS_ENGINE_SCHEDULE_INTAKE_H_

#include <memory>

#include "absl/status/status.h"
#include "engine/schedule/engine_options.h"
#include "engine/schedule/generate_request.h"
#include "engine/schedule/model_limits.h"
#include "engine/schedule/pool_contents.h"
#include "engine/schedule/request.h"

namespace chorus::engine {

class Intake {
 public:
  // All outlive it.
  Intake(const EngineOptions& options, const ModelLimits& model, const PoolContents& pool)
      : options_(options), model_(model), pool_(pool) {}

  // Whether a request can ever be served. InvalidArgument for broken limits, ResourceExhausted when
  // an empty pool beside the pin budget could not hold it.
  absl::Status Validate(const GenerateRequest& request) const;
  // InvalidArgument for an adapter that the runner cannot take.
  absl::Status CheckAdapter(const AdapterVersion& adapter) const;
  // With where its adapter begins (without the adapter where the prompt does not invoke it) and the
  // prefix keys of its prompt. REQUIRES: Validate was OK.
  std::unique_ptr<Request> MakeRequest(GenerateRequest spec) const;

 private:
  absl::Status CheckSampling(const GenerateRequest& request) const;
  absl::Status CheckPages(const GenerateRequest& request, int64_t adapter_pages) const;

  const EngineOptions& options_;
  const ModelLimits& model_;
  const PoolContents& pool_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_INTAKE_H_
