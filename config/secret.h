#pragma once

#include <string>

namespace kvasir {

// What a secret's value in the file means: ${NAME} is the environment variable, file:PATH the file's text without its
// last line break. Anything else is refused: a secret does not stand in the configuration.
struct Secret {
  std::string value;
  std::string problem;  // empty: `value` holds the secret
};
Secret resolve_secret(const std::string& text);

inline constexpr const char* kSecretForm = "${NAME} of an environment variable, file:PATH";

// Lower-case hex of the SHA-256 of `text`.
std::string sha256_hex(const std::string& text);

}  // namespace kvasir
