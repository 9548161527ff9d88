#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/base/time.h"
#include "storage/policy/eviction_policy.h"

namespace kvasir {

// One request of a trace. Its blocks are those of its prompt, in order, and then those that its answer filled.
struct TraceRequest {
  Duration arrival{};   // since the trace began
  Duration duration{};  // from arrival to its last token; as recorded, or estimated
  std::uint32_t input_tokens = 0;
  RequestOutcome outcome;
  std::uint32_t session = 0;  // requests of one conversation; dense from 0
  std::size_t first_block = 0;
  std::uint32_t blocks = 0;         // of the prompt
  std::uint32_t answer_blocks = 0;  // after these, where the trace tells; they enter the cache when the request ends
  bool ends_in_block = false;       // it filled one more in part;
  bool tail = false;                // which is the last of answer_blocks, unless the cache did not keep it
  std::optional<std::uint32_t> copied;  // block whose first tokens continued what was found of the prompt
  // A server recorded it: the prompt's blocks are its full ones, and the answer's are all that the request filled.
  bool recorded = false;
};

// Requests in order of arrival. A block's number stands for its content and for all before it: the same number means
// the same prefix, and a block always follows the same block. Numbers are dense from 0.
struct Trace {
  std::string name;
  std::uint32_t block_tokens = 0;
  std::vector<TraceRequest> requests;
  std::vector<std::uint32_t> blocks;  // of all requests, one after another
  std::uint32_t unique_blocks = 0;
  std::uint32_t sessions = 0;

  std::span<const std::uint32_t> path(const TraceRequest& request) const {
    return std::span(blocks).subspan(request.first_block, request.blocks);
  }
  std::span<const std::uint32_t> answer(const TraceRequest& request) const {
    return std::span(blocks).subspan(request.first_block + request.blocks, request.answer_blocks);
  }
  // Prompt and answer.
  std::span<const std::uint32_t> all_blocks(const TraceRequest& request) const {
    return std::span(blocks).subspan(request.first_block, request.blocks + request.answer_blocks);
  }
  Duration span() const { return requests.empty() ? Duration{} : requests.back().arrival; }
};

// Tokens of a prompt that its first `hit_blocks` blocks hold: the last block may be partial.
inline std::uint64_t hit_tokens(const Trace& trace, const TraceRequest& request, std::uint32_t hit_blocks) {
  const std::uint64_t tokens = std::uint64_t{hit_blocks} * trace.block_tokens;
  return tokens < request.input_tokens ? tokens : request.input_tokens;
}

}  // namespace kvasir
