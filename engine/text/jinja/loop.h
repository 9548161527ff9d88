#pragma once

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/interpreter.h"

namespace kvasir::jinja {

// Runs a {% for %} over `iterable`; `depth`: recursive loops around it.
void run_loop(Interpreter& in, const ForStmt& statement, const Val& iterable, std::uint32_t depth);

}  // namespace kvasir::jinja
