#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "config/schema.h"
#include "gateway/api/plan.h"
#include "gateway/auth.h"
#include "gateway/canonical/namespace_rules.h"
#include "gateway/generation.h"
#include "gateway/http.h"
#include "gateway/metrics.h"
#include "gateway/model_registry.h"

namespace kvasir {

// Every route of the server: a request in, an answer or an answer in the making out. Thread-safe; knows no sockets.
// What it refers to outlives it.
class Routes {
 public:
  using Reply = std::variant<HttpResponse, std::unique_ptr<Generation>>;

  Routes(const Config& config, const ModelRegistry& models, const Authenticator& authenticator, Metrics& metrics);

  // What can be refused before the body was read: unknown route, wrong method, no key.
  std::optional<HttpResponse> refuse(const HttpRequest& head) const;
  Reply handle(const HttpRequest& request, TimePoint arrived) const;

  // One of a bounded set: the path of a known route, else "other". For metrics.
  static std::string_view route_label(std::string_view path);

  // From now on /readyz says 503 and new work is refused.
  void begin_drain() { draining_ = true; }
  bool draining() const { return draining_; }
  const Config& config() const { return config_; }
  Metrics& metrics() const { return metrics_; }

 private:
  struct Route;
  const Route* find(std::string_view path) const;
  Reply answer(const HttpRequest& request, TimePoint arrived) const;
  std::string id_of(std::uint64_t number) const;  // of a call
  Reply dispatch(const HttpRequest& request, TimePoint arrived, const std::string& tenant) const;
  Reply with_body(const HttpRequest& request, TimePoint arrived, const std::string& tenant) const;
  Reply chat(const Value& body, CallContext call) const;
  Reply completion(const Value& body, CallContext call) const;
  Reply generate(ApiResult<GenerationPlan> plan, std::string_view route) const;
  Reply tokenize(const Value& body, const CallContext& call) const;
  Reply detokenize(const Value& body) const;
  Reply model_by_id(std::string_view path) const;
  HttpResponse ready() const;
  ApiResult<const Model*> model(const std::string& name, bool may_be_empty) const;
  CallContext call_context(std::string tenant, TimePoint arrived) const;

  const Config& config_;
  const ModelRegistry& models_;
  const Authenticator& authenticator_;
  Metrics& metrics_;
  const NamespaceRules rules_;
  std::uint64_t id_seed_;
  mutable std::atomic<std::uint64_t> calls_{0};
  mutable CallMemory tool_calls_;
  std::atomic<bool> draining_{false};
};

}  // namespace kvasir
