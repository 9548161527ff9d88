#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/backend.h"

namespace kvasir {

struct NullBackendConfig {
  // When a submitted step is computed and its result ready.
  enum class Completion : std::uint8_t {
    at_once,   // in submit(), on the owner thread
    manual,    // when complete() is called, for tests of what happens while a step is in flight
    threaded,  // on a thread of its own, after the delays below
  };
  std::uint32_t block_count = 1024;
  std::uint32_t block_tokens = 32;
  std::uint32_t vocabulary = 32000;
  std::uint32_t context_tokens = 1u << 30;
  // How many of the latest ids decide what comes next; 0: all of them. With few, replies repeat themselves.
  std::uint32_t decided_by = 0;
  Completion completion = Completion::at_once;
  std::chrono::microseconds delay_per_step{0};   // threaded only
  std::chrono::microseconds delay_per_token{0};  // threaded only
};

// A backend without a model, for tests and benches. The "KV" of position p is 8 bytes: a hash of all ids up to p. Every
// position a step reads is compared with the ids of the batch, so a block used for the wrong prefix, overwritten or
// freed too early aborts the process. The next token is a function of that hash, or of the latest ids alone (and of the
// seed, unless greedy).
//
// Owner thread: as Backend. complete() belongs to the owner thread too.
class NullBackend : public Backend {
 public:
  static std::unique_ptr<NullBackend> make(const NullBackendConfig& config);

  // Finishes the step in flight. REQUIRES: Completion::manual. False when none was in flight.
  virtual bool complete() = 0;
  virtual std::uint64_t tokens_computed() const = 0;  // over all steps whose result was ready
};

// The token that a sequence with these ids gets next: what tests compare with.
TokenId null_next_token(std::span<const TokenId> ids, const SamplingParams& sampling, std::uint32_t vocabulary,
                        std::uint32_t decided_by = 0);

// The first `count` tokens generated after `prompt`, alone and undisturbed.
std::vector<TokenId> null_generate(std::vector<TokenId> prompt, const SamplingParams& sampling,
                                   std::uint32_t vocabulary, std::uint32_t count, std::uint32_t decided_by = 0);

}  // namespace kvasir
