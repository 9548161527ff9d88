#pragma once

#include <functional>
#include <iosfwd>
#include <string_view>

#include "engine/text/value.h"
#include "storage/base/result.h"

namespace kvasir {

// Answers JSON lines: for each line of `in` one line on `out`, in order and flushed, so that a script can talk to us
// over two pipes. `answer` gets a JSON object; what it refuses, and a line that is no JSON object, becomes
// {"error": "..."} and the run goes on. True when no line was refused.
bool answer_json_lines(std::istream& in, std::ostream& out,
                       const std::function<Result<Value>(const Value::Object& request)>& answer);

}  // namespace kvasir
