#include "gateway/auth.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/http.h"

namespace kvasir {
namespace {

constexpr std::size_t kSecretBytes = 32;

std::string hex_sha256(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return to_hex(hash.finish());
}

std::optional<std::string_view> bearer_key(std::optional<std::string_view> authorization) {
  constexpr std::string_view scheme = "Bearer ";
  if (!authorization || authorization->size() <= scheme.size() ||
      !equals_ignoring_case(authorization->substr(0, scheme.size()), scheme))
    return std::nullopt;
  std::string_view key = authorization->substr(scheme.size());
  key.remove_prefix(std::min(key.find_first_not_of(' '), key.size()));
  return key.substr(0, key.find_last_not_of(' ') + 1);
}

void append_sized(std::string& out, std::string_view text) {
  const std::uint64_t size = text.size();
  for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>(size >> shift & 0xff);
  out += text;
}

Error io_error(const std::string& file) {
  return error(ErrorCode::io, fmt::format("cannot keep the cache secret in {}: {}", file, std::strerror(errno)));
}

Result<std::string> random_secret() {
  std::array<unsigned char, kSecretBytes> bytes{};
  if (RAND_bytes(bytes.data(), kSecretBytes) != 1) return error(ErrorCode::io, "no random bytes for the cache secret");
  return to_hex(bytes);
}

// Nothing when the file is too short to be one.
std::optional<std::string> read_secret(int fd) {
  std::string secret(2 * kSecretBytes, '\0');
  const ssize_t got = ::read(fd, secret.data(), secret.size());
  ::close(fd);
  return got == static_cast<ssize_t>(secret.size()) ? std::optional(std::move(secret)) : std::nullopt;
}

// Through a temporary name, so that a crash leaves the whole file or none.
Status write_secret(const std::string& file, const std::string& secret) {
  const std::string fresh = file + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) return io_error(file);
  const bool written =
      ::write(fd, secret.data(), secret.size()) == static_cast<ssize_t>(secret.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!written || ::rename(fresh.c_str(), file.c_str()) != 0) return io_error(file);
  return Ok{};
}

}  // namespace

Authenticator::Authenticator(const std::vector<TenantConfig>& tenants, std::string secret)
    : secret_(std::move(secret)) {
  for (const TenantConfig& tenant : tenants)
    for (const KeyConfig& key : tenant.keys) keys_.push_back({key.sha256, tenant.name});
}

Result<std::string> Authenticator::identify(std::optional<std::string_view> authorization) const {
  if (keys_.empty()) return std::string("default");
  const std::optional<std::string_view> given = bearer_key(authorization);
  if (!given) return error(ErrorCode::unauthorized, "an API key is needed: send 'Authorization: Bearer KEY'");
  const std::string hash = hex_sha256(*given);
  const std::string* tenant = nullptr;
  for (const Key& key : keys_)
    if (key.sha256.size() == hash.size() && CRYPTO_memcmp(key.sha256.data(), hash.data(), hash.size()) == 0)
      tenant = &key.tenant;
  if (!tenant) return error(ErrorCode::unauthorized, "the API key is not known");
  return *tenant;
}

Salt Authenticator::salt(std::string_view tenant, std::string_view cache_salt) const {
  std::string message = "tenant";
  message += '\0';
  append_sized(message, tenant);
  if (!cache_salt.empty()) append_sized(message, cache_salt);
  return Salt{hmac_sha256(secret_, message)};
}

Result<std::string> cache_secret(const std::string& configured, const std::string& folder) {
  if (!configured.empty()) return configured;
  if (folder.empty()) return random_secret();
  std::error_code ec;
  if (std::filesystem::create_directories(folder, ec))
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, ec);
  const std::string file = folder + "/secret";
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno != ENOENT) return io_error(file);
  if (std::optional<std::string> kept = fd >= 0 ? read_secret(fd) : std::nullopt) return std::move(*kept);
  if (fd >= 0)
    spdlog::warn("the cache secret in {} is damaged: a new one is made, what is on disk will not be found", file);
  Result<std::string> secret = random_secret();
  if (!secret) return secret;
  if (Status kept = write_secret(file, *secret); !kept) return kept.error();
  return secret;
}

}  // namespace kvasir
