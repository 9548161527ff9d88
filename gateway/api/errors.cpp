#include "gateway/api/errors.h"

#include <cstdlib>

#include "gateway/json_writer.h"

namespace kvasir {
namespace {

void optional_member(JsonWriter& json, std::string_view name, const std::string& text) {
  if (text.empty())
    json.null_member(name);
  else
    json.member(name, std::string_view(text));
}

}  // namespace

ApiError to_api_error(const Error& e) {
  switch (e.code) {
    case ErrorCode::invalid_argument:
      return {400, "invalid_request_error", e.message, e.param, "", 0};
    case ErrorCode::unsupported:
      return {400, "invalid_request_error", e.message, e.param, "unsupported", 0};
    case ErrorCode::too_large:
      return {413, "invalid_request_error", e.message, e.param, "request_too_large", 0};
    case ErrorCode::not_found:
      return {404, "invalid_request_error", e.message, e.param, "not_found", 0};
    case ErrorCode::unauthorized:
      return {401, "authentication_error", e.message, "", "invalid_api_key", 0};
    case ErrorCode::queue_full:
      return {429, "rate_limit_error", e.message, "", "rate_limit_exceeded", 1};
    case ErrorCode::shutting_down:
      return unavailable(e.message);
    case ErrorCode::cancelled:
      return unavailable(e.message);
    case ErrorCode::corrupt:
      return server_error(e.message);
    case ErrorCode::io:
      return server_error(e.message);
  }
  std::abort();
}

ApiError bad_request(std::string message, std::string param, std::string code) {
  return {400, "invalid_request_error", std::move(message), std::move(param), std::move(code), 0};
}

ApiError server_error(std::string message) { return {500, "server_error", std::move(message), "", "server_error", 0}; }

ApiError unavailable(std::string message) {
  return {503, "service_unavailable_error", std::move(message), "", "service_unavailable", 1};
}

ApiError http_failure(std::uint32_t status, std::string message) {
  if (status == 503) return unavailable(std::move(message));
  if (status >= 500 && status != 505) return server_error(std::move(message));
  return {status, "invalid_request_error", std::move(message), "", status == 413 ? "request_too_large" : "", 0};
}

std::string error_json(const ApiError& error) {
  JsonWriter json;
  json.begin_object().key("error").begin_object();
  json.member("message", std::string_view(error.message)).member("type", std::string_view(error.type));
  optional_member(json, "param", error.param);
  optional_member(json, "code", error.code);
  return json.end_object().end_object().take();
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response;
  response.status = error.status;
  response.body = error_json(error);
  if (error.retry_after_seconds > 0)
    response.headers.push_back({"Retry-After", std::to_string(error.retry_after_seconds)});
  if (error.status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer realm=\"kvasir\""});
  return response;
}

}  // namespace kvasir
