#pragma once

#include "engine/model/config_reader.h"
#include "engine/model/model_config.h"

namespace kvasir {

// The keys {arch}.rope.*: base and scaling of the layers that see everything. `context` is the trained context, which a
// YaRN file that does not name the original one means. Every number is in the range that RopeTable requires.
RopeConfig read_rope(ConfigReader& reader, std::uint32_t context);

// Of Gemma 3's layers with a window: a base of its own, no scaling.
RopeConfig read_local_rope(ConfigReader& reader);

}  // namespace kvasir
