#include "engine/model/architecture.h"

#include <algorithm>
#include <iterator>

namespace kvasir {

namespace {

constexpr Architecture kArchitectures[] = {
    {.name = "llama", .rope_pairing = RopePairing::adjacent, .windows_everywhere = true},
    {.name = "qwen2", .qkv_bias = true},
    {.name = "qwen3", .qk_norm = true},
    {.name = "gemma3",
     .activation = Activation::gelu_tanh,
     .qk_norm = true,
     .post_norms = true,
     .scales_embedding = true,
     .windows_in_runs = true},
};

}  // namespace

const Architecture* find_architecture(std::string_view name) {
  const auto* found = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                                   [&](const Architecture& architecture) { return architecture.name == name; });
  return found == std::end(kArchitectures) ? nullptr : found;
}

std::string architecture_names() {
  std::string names;
  for (const Architecture& architecture : kArchitectures)
    names += (names.empty() ? "" : ", ") + std::string(architecture.name);
  return names;
}

}  // namespace kvasir
