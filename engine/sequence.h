#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/lookup_drafts.h"
#include "storage/prefix_cache.h"

namespace kvasir {

// How a sequence ends, decided before it can end: its tokens may be in the step in flight.
struct Ending {
  FinishReason reason = FinishReason::stop;
  std::string message;
};

// The block that a sequence ends in, when it is filled in part.
struct SequenceTail {
  std::uint32_t tokens = 0;
  std::optional<BlockKey> kept;  // unless another block says it all
};

// One request's tokens and the blocks that hold their KV. Owned by the scheduler, on the owner thread.
//
// Life:  waiting -> (loading ->) running -> finished;  loading or running -> preempted: waiting again
// Blocks are held while running only: first those committed (leased), then those being filled.
class Sequence {
 public:
  enum class State : std::uint8_t { waiting, loading, running };

  // `keys` are those of the prompt's full blocks; `tokens_max` bounds prompt + output.
  Sequence(SequenceId id, GenerateRequest request, std::shared_ptr<TokenListener> listener, std::vector<BlockKey> keys,
           std::uint32_t block_tokens, std::uint32_t tokens_max);

  SequenceId id() const { return id_; }
  const GenerateRequest& request() const { return request_; }
  const std::shared_ptr<TokenListener>& listener() const { return listener_; }
  std::span<const BlockKey> prompt_keys() const { return std::span(keys_).first(prompt_tokens_ / block_tokens_); }
  std::span<const BlockKey> keys() const { return keys_; }  // of the prompt's full blocks, then of the answer's
  std::span<const TokenId> ids() const { return std::span(ids_).first(tokens()); }  // prompt, then generated
  std::uint32_t tokens() const { return static_cast<std::uint32_t>(ids_.size()) - drafts_; }
  std::uint32_t prompt_tokens() const { return prompt_tokens_; }
  std::uint32_t generated() const { return tokens() - prompt_tokens_; }
  std::uint32_t computed() const { return computed_; }  // tokens whose KV is in held blocks
  std::uint32_t remaining() const { return tokens() - computed_; }
  bool decoding() const { return generated() > 0 && remaining() == 1; }
  std::uint32_t tokens_left() const { return tokens_max_ - tokens(); }  // that it may still generate
  PrefixQuery query() const { return {ids(), request_.salts}; }

  std::uint32_t blocks_held() const { return static_cast<std::uint32_t>(blocks_.size() + fills_.size()); }
  std::uint32_t blocks_committed() const { return static_cast<std::uint32_t>(blocks_.size()); }
  std::uint32_t block_capacity() const { return blocks_held() * block_tokens_; }  // tokens that fit into held blocks

  void hold(PrefixHold prefix);    // starts from what the cache had. REQUIRES: holds nothing
  void add_block(BlockFill fill);  // room for block_tokens more
  void release_blocks();           // back to holding nothing

  // Guesses of what comes next, as of the tokens so far.
  const LookupDrafts& look_up_drafts() {
    lookup_.follow(ids());
    return lookup_;
  }
  // Puts guesses behind the tokens, for input(); they count as nothing until they are appended.
  void add_drafts(std::uint32_t count);
  std::uint32_t drafts() const { return drafts_; }
  std::vector<TokenId> take_drafts();  // away again
  void release_spare_blocks();         // those that hold nothing computed

  // This sequence's part of a step that computes up to token `end`, and the drafts; samples when that is the last one.
  SequenceInput input(std::uint32_t end) const;
  // The step computed up to `end`. Returns how many of these tokens had been computed before a preemption.
  std::uint32_t advance(std::uint32_t end);
  // Publishes the filled blocks, in order.
  void commit_full_blocks(PrefixCache& cache, TimePoint now);

  // The acquisition that it holds blocks by; none while it holds none.
  AcquireId held_by() const { return held_by_; }

  // Gives the cache the block that is filled in part, and with it the exact end of this sequence.
  SequenceTail commit_tail(PrefixCache& cache);

  // Appends a generated token; says how the sequence ends with it, if it does.
  std::optional<FinishReason> append(TokenId id);

  // While waiting: what is left to compute once it is admitted, as far as is known. At least one token.
  std::uint32_t expected_remaining() const { return tokens() - std::min(prefix_expected.value_or(0), tokens() - 1); }

  State state = State::waiting;
  std::uint32_t account = 0;                     // its tenant's
  std::optional<std::uint32_t> prefix_expected;  // while waiting: tokens that the cache will have; none: not looked up
  std::optional<BlockKey> awaited;               // while waiting: the last block of its prompt that another computes
  std::uint64_t claims_seen = 0;                 // while waiting: version of the claims that held none of its blocks
  std::uint64_t admission = 0;                   // order of admissions; of the latest one
  TimePoint load_started;                        // while loading
  AcquireId acquire{};                           // while loading
  std::uint32_t blocks_acquiring = 0;            // while loading: full blocks it will hold when all goes well
  bool in_step = false;                          // part of the step in flight: ids and blocks must stay
  std::optional<Ending> ending;                  // to be ended when the step in flight is done
  std::optional<RequestEnd> end_told;            // by its caller, before it ended
  std::optional<PromptUsage> usage;              // from first admission on
  std::optional<BlockKey> copied;                // PrefixHold's, of the first admission
  RequestTimes times;

 private:
  SequenceId id_;
  GenerateRequest request_;
  std::shared_ptr<TokenListener> listener_;
  std::vector<BlockKey> keys_;  // of the prompt's full blocks, then of each generated block committed
  std::uint32_t block_tokens_;
  std::uint32_t tokens_max_;
  std::uint32_t prompt_tokens_;
  std::vector<TokenId> ids_;  // and drafts_ guesses behind them
  std::uint32_t drafts_ = 0;
  LookupDrafts lookup_;
  AcquireId held_by_{};
  std::vector<BlockLease> blocks_;
  std::vector<BlockFill> fills_;
  std::uint32_t computed_ = 0;
  std::uint32_t computed_once_ = 0;  // highest computed_ ever: beyond it, work is new
};

}  // namespace kvasir
