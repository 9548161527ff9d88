#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/http.h"
#include "storage/base/result.h"

namespace kvasir {

// A failure as the OpenAI API shows it: {"error":{"message","type","param","code"}}, all four always there.
struct ApiError {
  std::uint32_t status = 400;
  std::string type = "invalid_request_error";
  std::string message;
  std::string param;                      // empty: null
  std::string code;                       // empty: null
  std::uint32_t retry_after_seconds = 0;  // 0: no Retry-After
};

// The one mapping from ErrorCode to HTTP.
ApiError to_api_error(const Error& error);

ApiError bad_request(std::string message, std::string param = {}, std::string code = {});
ApiError server_error(std::string message);
ApiError unavailable(std::string message);  // 503
// For failures below the API (malformed HTTP, limits, deadlines): the fitting type for a status.
ApiError http_failure(std::uint32_t status, std::string message);

std::string error_json(const ApiError& error);
HttpResponse error_response(const ApiError& error);

}  // namespace kvasir
