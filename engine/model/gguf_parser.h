#pragma once

#include <memory>
#include <span>
#include <string>

#include "engine/model/gguf.h"

namespace kvasir {

// Parses one GGUF file by itself; bytes must outlive the file. Errors start with "GGUF: " and end with the byte's
// place.
Result<std::unique_ptr<GgufFile>> parse_gguf(std::span<const std::byte> bytes);

// A name of a hostile file as an error may show it: what is not printable ASCII becomes "?", and it is cut at 80 bytes.
std::string shown_name(std::string_view name);

}  // namespace kvasir
