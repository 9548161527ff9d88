#include "gateway/call_memory.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "gateway/json/json.h"

namespace kvasir {
namespace {

constexpr std::size_t kBookkeepingBytes = 256;  // of one call, about
constexpr std::size_t kIdBytesMax = 256;        // ids of ours are far shorter

std::string key_of(const Salt& salt, std::string_view id) {
  std::string key(reinterpret_cast<const char*>(salt.bytes.data()), salt.bytes.size());
  return key.append(id);
}

bool same_number(const Value& a, const Value& b) {
  if (a.as_number()->text == b.as_number()->text) return true;
  constexpr double kExactMax = 9007199254740992.0;  // beyond it different integers are the same double
  const std::optional<double> x = double_of(a), y = double_of(b);
  return x && y && *x == *y && std::fabs(*x) < kExactMax;
}

bool same_object(const Value::Object& a, const Value::Object& b) {
  if (a.members.size() != b.members.size()) return false;
  using Member = const std::pair<std::string, Value>*;
  const auto sorted = [](const Value::Object& object) {
    std::vector<Member> members;
    for (const auto& member : object.members) members.push_back(&member);
    std::sort(members.begin(), members.end(), [](Member x, Member y) { return x->first < y->first; });
    return members;
  };
  const std::vector<Member> left = sorted(a), right = sorted(b);
  return std::equal(left.begin(), left.end(), right.begin(),
                    [](Member x, Member y) { return x->first == y->first && same_json(x->second, y->second); });
}

}  // namespace

std::size_t CallMemory::Call::bytes() const { return key.size() + name.size() + arguments.size() + kBookkeepingBytes; }

void CallMemory::keep(const Salt& salt, std::string_view id, std::string_view name, std::string_view arguments) {
  Call call{key_of(salt, id), std::string(name), std::string(arguments)};
  if (id.size() > kIdBytesMax || call.bytes() > bytes_max_) return;
  const std::lock_guard lock(mutex_);
  if (const auto old = by_key_.find(call.key); old != by_key_.end()) {
    bytes_ -= old->second->bytes();
    const auto place = old->second;
    by_key_.erase(old);
    calls_.erase(place);
  }
  bytes_ += call.bytes();
  calls_.push_front(std::move(call));
  by_key_.emplace(calls_.front().key, calls_.begin());
  while (bytes_ > bytes_max_) {
    bytes_ -= calls_.back().bytes();
    by_key_.erase(calls_.back().key);
    calls_.pop_back();
  }
}

std::optional<std::string> CallMemory::arguments(const Salt& salt, std::string_view id, std::string_view name) {
  if (id.size() > kIdBytesMax) return std::nullopt;
  const std::string key = key_of(salt, id);
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end() || found->second->name != name) return std::nullopt;
  calls_.splice(calls_.begin(), calls_, found->second);
  return found->second->arguments;
}

std::size_t CallMemory::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

bool same_json(const Value& a, const Value& b) {
  if (a.as_number() && b.as_number()) return same_number(a, b);
  if (a.as_string() && b.as_string()) return *a.as_string() == *b.as_string();
  if (a.as_bool() && b.as_bool()) return *a.as_bool() == *b.as_bool();
  if (a.as_object() && b.as_object()) return same_object(*a.as_object(), *b.as_object());
  if (!a.as_array() || !b.as_array()) return a.is_null() && b.is_null();
  const Value::Array &left = *a.as_array(), &right = *b.as_array();
  return left.size() == right.size() && std::equal(left.begin(), left.end(), right.begin(), same_json);
}

}  // namespace kvasir
