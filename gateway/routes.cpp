#include "gateway/routes.h"

#include <charconv>
#include <chrono>
#include <ctime>
#include <random>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "gateway/api/models.h"
#include "gateway/api/tokenize.h"
#include "gateway/json/json.h"
#include "storage/base/prng.h"

namespace kvasir {

struct Routes::Route {
  enum class Needs : std::uint8_t { nothing, key };
  std::string_view path;
  bool post = false;  // else GET and HEAD
  Needs needs = Needs::key;
};

namespace {

constexpr std::string_view kModelPrefix = "/v1/models/";
constexpr std::string_view kModelLabel = "/v1/models/{id}";

HttpResponse plain_ok(std::string_view word) {
  return {.content_type = "text/plain; charset=utf-8", .body = std::string(word) + "\n"};
}

// Model names may hold what a path must escape ("/", " "). Wrong escapes stay as they are: no model has such a name.
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] != '%' || text.size() - i < 3 || std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

std::uint64_t random_u64() {
  std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32 | device();
}

}  // namespace

static constexpr std::string_view kRoutePaths[] = {"/v1/chat/completions",
                                                   "/v1/completions",
                                                   "/v1/models",
                                                   "/tokenize",
                                                   "/detokenize",
                                                   "/healthz",
                                                   "/readyz",
                                                   "/metrics",
                                                   kModelLabel};

Routes::Routes(const Config& config, const ModelRegistry& models, const Authenticator& authenticator, Metrics& metrics)
    : config_(config),
      models_(models),
      authenticator_(authenticator),
      metrics_(metrics),
      rules_(config),
      id_seed_(random_u64()) {}

const Routes::Route* Routes::find(std::string_view path) const {
  static constexpr Route routes[] = {
      {"/v1/chat/completions", true, Route::Needs::key},
      {"/v1/completions", true, Route::Needs::key},
      {"/tokenize", true, Route::Needs::key},
      {"/detokenize", true, Route::Needs::key},
      {"/v1/models", false, Route::Needs::key},
      {"/healthz", false, Route::Needs::nothing},
      {"/readyz", false, Route::Needs::nothing},
  };
  static constexpr Route model{kModelLabel, false, Route::Needs::key};
  static constexpr Route metrics{"/metrics", false, Route::Needs::nothing};
  for (const Route& route : routes)
    if (route.path == path) return &route;
  if (path.starts_with(kModelPrefix) && path.size() > kModelPrefix.size()) return &model;
  return config_.metrics.enabled && path == config_.metrics.path ? &metrics : nullptr;
}

std::string_view Routes::route_label(std::string_view path) {
  for (const std::string_view known : kRoutePaths)
    if (path == known) return known;
  if (path.starts_with(kModelPrefix)) return kModelLabel;
  return "other";
}

std::optional<HttpResponse> Routes::refuse(const HttpRequest& head) const {
  const Route* route = find(head.path());
  if (!route)
    return error_response(
        {404, "invalid_request_error", fmt::format("no route {} {}", head.method, head.path()), "", "not_found", 0});
  const bool fits = route->post ? head.method == "POST" : head.method == "GET" || head.method == "HEAD";
  if (!fits) {
    HttpResponse response =
        error_response({405, "invalid_request_error", fmt::format("{} does not take {}", route->path, head.method), "",
                        "method_not_allowed", 0});
    response.headers.push_back({"Allow", route->post ? "POST" : "GET, HEAD"});
    return response;
  }
  if (route->needs == Route::Needs::nothing) return std::nullopt;
  const Result<std::string> tenant = authenticator_.identify(head.header("authorization"));
  return tenant ? std::nullopt : std::optional(error_response(to_api_error(tenant.error())));
}

Routes::Reply Routes::handle(const HttpRequest& request, TimePoint arrived) const {
  Reply reply = answer(request, arrived);
  if (HttpResponse* response = std::get_if<HttpResponse>(&reply); response && request.method == "POST")
    response->headers.push_back({"X-Request-Id", "req-" + id_of(calls_.fetch_add(1))});  // a generation names its own
  return reply;
}

Routes::Reply Routes::answer(const HttpRequest& request, TimePoint arrived) const {
  try {
    if (std::optional<HttpResponse> refusal = refuse(request)) return std::move(*refusal);
    const Result<std::string> tenant = authenticator_.identify(request.header("authorization"));
    return dispatch(request, arrived, tenant ? *tenant : std::string());
  } catch (const std::exception& e) {
    spdlog::error("{} {}: {}", request.method, route_label(request.path()), e.what());
    return error_response(server_error("an internal error; the server's log says more"));
  }
}

Routes::Reply Routes::dispatch(const HttpRequest& request, TimePoint arrived, const std::string& tenant) const {
  const std::string_view path = request.path();
  if (request.method == "POST") return with_body(request, arrived, tenant);
  if (path == "/v1/models") return answer_models(models_);
  if (path.starts_with(kModelPrefix)) return model_by_id(path);
  if (path == "/healthz") return plain_ok("ok");
  if (path == "/readyz") return ready();
  return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_.text()};
}

HttpResponse Routes::ready() const {
  if (!draining_) return plain_ok("ready");
  return error_response(unavailable("the server is shutting down"));
}

Routes::Reply Routes::with_body(const HttpRequest& request, TimePoint arrived, const std::string& tenant) const {
  if (draining_) return error_response(unavailable("the server is shutting down"));
  const Result<Value> body = parse_json(request.body, {config_.limits.json_depth, config_.limits.body_bytes});
  if (!body) return error_response(bad_request("the body is not valid JSON: " + body.error().message));
  const std::string_view path = request.path();
  if (path == "/detokenize") return detokenize(*body);
  CallContext call = call_context(tenant, arrived);
  if (path == "/tokenize") return tokenize(*body, call);
  return path == "/v1/completions" ? completion(*body, std::move(call)) : chat(*body, std::move(call));
}

std::string Routes::id_of(std::uint64_t number) const {
  return fmt::format("{:016x}{:08x}", uniform64(id_seed_, 2 * number), number & 0xffffffff);
}

CallContext Routes::call_context(std::string tenant, TimePoint arrived) const {
  const std::uint64_t number = calls_.fetch_add(1);
  const std::time_t now = std::time(nullptr);
  CallContext call;
  call.id = id_of(number);
  call.rules = &rules_.of(tenant);
  call.tenant = std::move(tenant);
  call.authenticator = &authenticator_;
  call.calls = &tool_calls_;
  call.arrived = arrived;
  call.deadline = arrived + config_.limits.request_timeout;
  call.unix_now = now;
  call.local_now = fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::localtime(now));
  call.random_seed = uniform64(id_seed_, 2 * number + 1);
  return call;
}

ApiResult<const Model*> Routes::model(const std::string& name, bool may_be_empty) const {
  if (name.empty() && may_be_empty && models_.models().size() == 1) return models_.models().front().get();
  if (const Model* found = models_.find(name)) return found;
  return ApiError{404,
                  "invalid_request_error",
                  fmt::format("the model '{}' does not exist; GET /v1/models lists what there is", name.substr(0, 200)),
                  "model",
                  "model_not_found",
                  0};
}

Routes::Reply Routes::chat(const Value& body, CallContext call) const {
  const Result<ChatRequest> request = parse_chat_request(body, config_.limits);
  if (!request) return error_response(to_api_error(request.error()));
  const ApiResult<const Model*> found = model(request->options.model, false);
  if (const ApiError* bad = std::get_if<ApiError>(&found)) return error_response(*bad);
  return generate(plan_chat(*request, *std::get<0>(found), call), "/v1/chat/completions");
}

Routes::Reply Routes::completion(const Value& body, CallContext call) const {
  const Result<CompletionRequest> request = parse_completion_request(body, config_.limits);
  if (!request) return error_response(to_api_error(request.error()));
  const ApiResult<const Model*> found = model(request->options.model, false);
  if (const ApiError* bad = std::get_if<ApiError>(&found)) return error_response(*bad);
  return generate(plan_completion(*request, *std::get<0>(found), call), "/v1/completions");
}

Routes::Reply Routes::generate(ApiResult<GenerationPlan> plan, std::string_view route) const {
  if (const ApiError* bad = std::get_if<ApiError>(&plan)) return error_response(*bad);
  GenerationPlan& ready_plan = std::get<0>(plan);
  ready_plan.route = route;
  metrics_.count_canonical(ready_plan.canonical);
  return std::make_unique<Generation>(std::move(ready_plan), metrics_);
}

Routes::Reply Routes::tokenize(const Value& body, const CallContext& call) const {
  const Result<TokenizeRequest> request = parse_tokenize_request(body);
  if (!request) return error_response(to_api_error(request.error()));
  const ApiResult<const Model*> found = model(request->model, true);
  if (const ApiError* bad = std::get_if<ApiError>(&found)) return error_response(*bad);
  return answer_tokenize(*request, *std::get<0>(found), call);
}

Routes::Reply Routes::detokenize(const Value& body) const {
  const Result<DetokenizeRequest> request = parse_detokenize_request(body);
  if (!request) return error_response(to_api_error(request.error()));
  const ApiResult<const Model*> found = model(request->model, true);
  if (const ApiError* bad = std::get_if<ApiError>(&found)) return error_response(*bad);
  return answer_detokenize(*request, *std::get<0>(found));
}

Routes::Reply Routes::model_by_id(std::string_view path) const {
  const ApiResult<const Model*> found = model(percent_decoded(path.substr(kModelPrefix.size())), false);
  if (const ApiError* bad = std::get_if<ApiError>(&found)) return error_response(*bad);
  return answer_model(*std::get<0>(found));
}

}  // namespace kvasir
