#pragma once

#include <stdexcept>
#include <string>

#include "config/schema.h"

namespace kvasir {

// Why a configuration was refused. what() is "FILE:LINE: key: problem (allowed: ...)", one line per problem, all of
// them at once. Thrown at start-up and by `kvasir config check`.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Reads, resolves (${ENV}, file:PATH for secrets) and validates. Relative paths inside stay relative to the working
// folder. Unknown keys are errors that name the nearest known one. Throws ConfigError.
Config load_config(const std::string& file);
Config parse_config(const std::string& yaml, const std::string& name_for_messages);

// "HOST:PORT" or "[::1]:PORT". Throws ConfigError.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
HostPort parse_host_port(const std::string& text);

}  // namespace kvasir
