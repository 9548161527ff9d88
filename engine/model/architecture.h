#pragma once

#include <string>
#include <string_view>

#include "engine/model/model_config.h"

namespace kvasir {

// What the name of an architecture says beyond its keys.
struct Architecture {
  std::string_view name;  // general.architecture
  RopePairing rope_pairing = RopePairing::halves;
  Activation activation = Activation::silu;
  bool qkv_bias = false;    // always; the others may have them
  bool qk_norm = false;     // always, else never
  bool post_norms = false;  // as qk_norm
  bool scales_embedding = false;
  bool windows_everywhere = false;  // a sliding window holds for every layer (Mistral)
  bool windows_in_runs = false;     // for all but each n-th layer (Gemma 3)
};

const Architecture* find_architecture(std::string_view name);  // nullptr: not one that kvasir runs
std::string architecture_names();                              // "llama, qwen2, ...", for messages

}  // namespace kvasir
