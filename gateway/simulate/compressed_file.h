#pragma once

#include <string>

#include "storage/base/result.h"

namespace kvasir {

// A whole file, decompressed when it is Zstandard (told by its first bytes). Errors: io; corrupt; too_large over 4 GiB.
Result<std::string> read_file(const std::string& path);

}  // namespace kvasir
