#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/schema.h"
#include "storage/base/hash.h"
#include "storage/base/ids.h"
#include "storage/base/result.h"

namespace kvasir {

// Who calls, by bearer key, and what isolates their blocks. Immutable after construction; any thread may use it.
class Authenticator {
 public:
  // `secret` keys the salts: another secret, another set of blocks.
  Authenticator(const std::vector<TenantConfig>& tenants, std::string secret);

  // The tenant's name for an Authorization header. Without configured tenants everyone is "default". Compares hashes
  // of all keys in constant time. Errors: unauthorized.
  Result<std::string> identify(std::optional<std::string_view> authorization) const;

  // HMAC over the tenant and, length-prefixed, what the caller adds to set its own blocks apart.
  Salt salt(std::string_view tenant, std::string_view cache_salt) const;

 private:
  struct Key {
    std::string sha256;  // hex
    std::string tenant;
  };
  std::vector<Key> keys_;
  std::string secret_;
};

// The configured secret; else the one kept in `folder`/secret, made (mode 0600) at the first start; else, without a
// folder, a random one for this process. A damaged file is replaced: all that was stored under it is a miss. Errors:
// io.
Result<std::string> cache_secret(const std::string& configured, const std::string& folder);

}  // namespace kvasir
