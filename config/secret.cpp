#include "config/secret.h"

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string_view>

#include <openssl/sha.h>

namespace kvasir {
namespace {

constexpr std::string_view kFilePrefix = "file:";
constexpr std::size_t kSecretBytesMax = 64u << 10;

Secret from_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return {{}, "the environment variable " + name + " is not set"};
  if (*value == '\0') return {{}, "the environment variable " + name + " is empty"};
  return {value, {}};
}

Secret from_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return {{}, "cannot read the file " + path};
  std::string text(kSecretBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return {{}, "cannot read the file " + path};
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kSecretBytesMax) return {{}, "the file " + path + " is over 64KiB"};
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty()) return {{}, "the file " + path + " is empty"};
  return {std::move(text), {}};
}

}  // namespace

Secret resolve_secret(const std::string& text) {
  if (text.starts_with("${") && text.ends_with("}") && text.size() > 3) {
    return from_environment(text.substr(2, text.size() - 3));
  }
  if (text.starts_with(kFilePrefix) && text.size() > kFilePrefix.size()) {
    return from_file(text.substr(kFilePrefix.size()));
  }
  return {{}, "a secret does not stand in the configuration itself"};
}

std::string sha256_hex(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

}  // namespace kvasir
