#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/engine.h"

namespace kvasir {

// How one request used the prefix cache: keys and lengths, no tokens. What `kvasir simulate` replays.
struct RequestTrace {
  RequestTimes times;
  PromptUsage usage;
  RequestOutcome outcome;
  std::uint32_t prompt_blocks = 0;  // full blocks of the prompt
  std::vector<BlockKey> blocks;     // of the prompt, then those that the answer filled
  std::uint32_t tail_tokens = 0;    // in the block that it ended in, when filled in part
  std::optional<BlockKey> tail;     // of that block, when the cache kept it
  std::optional<BlockKey> copied;   // of the block whose first tokens continued the blocks found
};

// Takes what an engine tells of its requests, each once, when it is known how it ended; those that were never admitted
// are not told. Called on the owner thread, so it must not block.
class RequestTraceSink {
 public:
  virtual ~RequestTraceSink() = default;
  virtual void record(RequestTrace trace) = 0;
};

}  // namespace kvasir
