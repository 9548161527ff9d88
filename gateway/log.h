#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/schema.h"

namespace kvasir {

// Sets up the process's log on stderr: level and form (text or one JSON object per line).
void init_log(const LogConfig& config);

// One line with named values at level info: "EVENT name=value ...", or as members of a JSON object. Values that are
// JSON numbers stay numbers.
using LogFields = std::vector<std::pair<std::string_view, std::string>>;
void log_event(std::string_view event, const LogFields& fields);

}  // namespace kvasir
