#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "storage/base/time.h"
#include "storage/policy/eviction_policy.h"

namespace kvasir {

// One request of a trace. Its blocks are those of its prompt, in order.
struct TraceRequest {
  Duration arrival{};   // since the trace began
  Duration duration{};  // from arrival to its last token; as recorded, or estimated
  std::uint32_t input_tokens = 0;
  RequestOutcome outcome;
  std::uint32_t session = 0;  // requests of one conversation; dense from 0
  std::size_t first_block = 0;
  std::uint32_t blocks = 0;
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
  Duration span() const { return requests.empty() ? Duration{} : requests.back().arrival; }
};

// Tokens of a prompt that its first `hit_blocks` blocks hold: the last block may be partial.
inline std::uint64_t hit_tokens(const Trace& trace, const TraceRequest& request, std::uint32_t hit_blocks) {
  const std::uint64_t tokens = std::uint64_t{hit_blocks} * trace.block_tokens;
  return tokens < request.input_tokens ? tokens : request.input_tokens;
}

}  // namespace kvasir
