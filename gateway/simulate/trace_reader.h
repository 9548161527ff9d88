#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "storage/base/result.h"
#include "storage/simulator/trace.h"

namespace kvasir {

struct TraceReadOptions {
  std::uint32_t block_tokens = 0;  // 0: what the lines say, or else what fits their lengths
  // How long a request runs that does not say: to its first token, and for each token of its answer.
  std::chrono::milliseconds first_token{500}, output_token{20};
};

// Reads a trace of JSON lines, as they are or compressed with Zstandard. Of each line:
//   hash_ids        the prompt's blocks in order, as numbers or strings: the block's content, or its whole prefix
//   timestamp_ms    arrival (or `timestamp`)
//   input_tokens    of the prompt (or `input_length`)
//   output_tokens   (or `output_length`; 0)
//   block_tokens, session, api_ms (how long it ran), finish ("tool_use", "end_turn", others)   where known
// and where a server recorded it (storage/simulator/README.md): answer_hash_ids, tail_tokens, tail_hash_id,
// host_tokens, disk_tokens, copied_hash_id. A last line without its end that cannot be read is one that is being
// written: it is left out. Errors: io, corrupt; invalid_argument with file and line.
Result<Trace> read_trace(const std::string& path, const TraceReadOptions& options);

// The same from text; `name` is the trace's.
Result<Trace> parse_trace(std::string name, std::string_view text, const TraceReadOptions& options);

}  // namespace kvasir
