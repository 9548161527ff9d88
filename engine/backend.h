#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/sampling.h"
#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/block_memory.h"

namespace kvasir {

// Raw logits to copy out, besides sampling: `last` of the last position and of those whose next token is a draft.
enum class LogitsWanted : std::uint8_t { none, last, all };

// One sequence's part of a step: compute ids[first_position, ids.size()), reading KV of what is before and writing KV
// of these into `blocks`. ids stays valid and unchanged until the step's result was taken.
struct SequenceInput {
  SequenceId id{};
  std::span<const TokenId> ids;      // the whole sequence so far, from position 0
  std::uint32_t first_position = 0;  // < ids.size()
  std::vector<BlockId> blocks;       // block table: ceil(ids.size() / block_tokens) entries; those with a position
                                     // >= first_position are filling and belong to this sequence alone
  const SamplingParams* sampling = nullptr;  // set: sample the token at position ids.size() - drafts, and those after
                                             // each draft; same lifetime as ids
  std::uint32_t prompt_tokens = 0;           // where history turns from prompt to generated, for penalties
  LogitsWanted logits = LogitsWanted::none;
  // So many of the last ids are guesses: what follows the ids before them, and each of them, is sampled too, as it
  // would be were they generated. REQUIRES: first_position + 1 + drafts == ids.size() unless 0
  std::uint32_t drafts = 0;
};

// A step's plan: a value, made by Scheduler::plan. Decodes (one id each) and prefill chunks, together.
struct Batch {
  std::vector<SequenceInput> sequences;
  std::uint32_t tokens() const {
    std::uint32_t n = 0;
    for (const SequenceInput& s : sequences) n += static_cast<std::uint32_t>(s.ids.size()) - s.first_position;
    return n;
  }
};

struct SequenceOutput {
  SequenceId id{};
  std::optional<SampledToken> sampled;
  std::vector<SampledToken> after_drafts;  // after each draft, as if it and those before it were right
  std::vector<float> logits;               // (rows, vocabulary) as asked for
};

struct BatchResult {
  std::vector<SequenceOutput> sequences;  // in the order of the batch
};

enum class Ticket : std::uint64_t {};

struct BackendInfo {
  std::string name;          // "reference", "cpu", "null"
  std::string kernel_class;  // "avx512_vnni", "avx2", "scalar", ...
  std::string numerics_id;   // equal ids promise equal KV and logit bits; part of the fingerprint
  std::string kv_layout;     // dtype and order of a block's bytes; part of the fingerprint
  std::size_t block_bytes = 0;
  std::uint32_t block_tokens = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t context_tokens = 0;  // positions it can compute
};

// Computes steps. Owns the bytes of the block pool (memory()). One step is in flight at a time; submit() and poll() are
// called by the owner thread and return at once, the work runs on the backend's own threads. The backend decides
// nothing: what to run is the scheduler's, what to keep is storage's. Promise: for a row, neither the batch it is in
// nor how the prompt was cut into chunks changes a bit of its KV or logits.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const BackendInfo& info() const = 0;
  virtual BlockMemory& memory() = 0;
  // Called from a backend thread when poll() will have a result; set once before the first submit.
  virtual void set_wakeup(std::function<void()> wakeup) = 0;
  virtual Ticket submit(Batch batch) = 0;                      // REQUIRES: no step in flight, batch not empty
  virtual std::optional<BatchResult> poll(Ticket ticket) = 0;  // the result once, when it is ready
};

}  // namespace kvasir
