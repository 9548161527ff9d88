#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "gateway/api/conversation.h"
#include "storage/base/ids.h"

namespace kvasir {

// The arguments of tool calls as models wrote them, by call id, so that the next turn's prompt holds the same bytes
// even if the client parsed and wrote them anew. Who has another salt (another tenant, another cache_salt) never sees
// them. The longest unused go first when there are too many. Thread-safe.
class CallMemory {
 public:
  static constexpr std::size_t kBytesMax = 16u << 20;

  explicit CallMemory(std::size_t bytes_max = kBytesMax) : bytes_max_(bytes_max) {}
  void keep(const Salt& salt, std::string_view id, std::string_view name, std::string_view arguments);
  std::optional<std::string> arguments(const Salt& salt, std::string_view id, std::string_view name);
  std::size_t bytes() const;  // what is kept, the bookkeeping included

 private:
  struct Call {
    std::string key, name, arguments;
    std::size_t bytes() const;
  };
  const std::size_t bytes_max_;
  mutable std::mutex mutex_;
  std::list<Call> calls_;  // the last used first
  std::unordered_map<std::string_view, std::list<Call>::iterator> by_key_;
  std::size_t bytes_ = 0;
};

// Whether two JSON values mean the same: members in any order, numbers by their value.
bool same_json(const Value& a, const Value& b);

}  // namespace kvasir
