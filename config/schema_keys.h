#pragma once

#include <string>
#include <vector>

namespace kvasir {

// The path of every key that a configuration may hold, in the order they are read: "cache.tiers.host.capacity",
// "models[].name". Made by the loader's own code.
std::vector<std::string> schema_keys();

}  // namespace kvasir
