#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/cpu/cpu_backends.h"
#include "engine/model/model_config.h"
#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir::testing {

// A backend on a model file, and steps run to their end.
class BackendDriver {
 public:
  enum class Kind : std::uint8_t { cpu, reference };

  // Every byte of the pool is set to 0xFF (not a number in f16 and f32), so that reading what was not written shows.
  BackendDriver(const std::string& model_path, const BackendOptions& options, Kind kind = Kind::cpu) {
    file_ = GgufFile::open(model_path).value();
    const ModelConfig config = read_model_config(*file_).value();
    backend_ = (kind == Kind::cpu ? make_cpu_backend(*file_, config, options)
                                  : make_reference_backend(*file_, config, options))
                   .value();
    BlockMemory& memory = backend_->memory();
    for (std::uint32_t i = 0; i < memory.block_count(); ++i)
      std::ranges::fill(memory.bytes(BlockId(i)), std::byte{0xFF});
  }

  Backend& backend() { return *backend_; }
  const BackendInfo& info() const { return backend_->info(); }

  BatchResult run(Batch batch) {
    const Ticket ticket = backend_->submit(std::move(batch));
    for (;;) {
      if (std::optional<BatchResult> result = backend_->poll(ticket)) return std::move(*result);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

  // Blocks first, first + 1, ... for `tokens` tokens.
  std::vector<BlockId> blocks(std::size_t tokens, std::uint32_t first = 0) const {
    std::vector<BlockId> ids;
    for (std::uint32_t i = 0; std::size_t{i} * info().block_tokens < tokens; ++i) ids.push_back(BlockId(first + i));
    return ids;
  }

  // ids[first..] of one sequence in one step.
  SequenceInput input(std::span<const TokenId> ids, std::size_t first, std::uint32_t first_block,
                      LogitsWanted wanted) const {
    SequenceInput s;
    s.id = SequenceId(first_block);
    s.ids = ids;
    s.first_position = static_cast<std::uint32_t>(first);
    s.blocks = blocks(ids.size(), first_block);
    s.logits = wanted;
    return s;
  }

  // Computes ids in chunks of `chunk` tokens; logits of every position, one after another.
  std::vector<float> prefill(std::span<const TokenId> ids, std::size_t chunk, std::uint32_t first_block = 0) {
    std::vector<float> logits;
    for (std::size_t at = 0; at < ids.size(); at += chunk) {
      Batch batch;
      batch.sequences.push_back(input(ids.first(std::min(at + chunk, ids.size())), at, first_block, LogitsWanted::all));
      const BatchResult result = run(std::move(batch));
      logits.insert(logits.end(), result.sequences[0].logits.begin(), result.sequences[0].logits.end());
    }
    return logits;
  }

  // The bytes of the blocks that `tokens` tokens fill.
  std::string full_blocks(std::size_t tokens, std::uint32_t first_block = 0) {
    std::string bytes;
    for (std::uint32_t i = 0; std::size_t{i + 1} * info().block_tokens <= tokens; ++i) {
      const std::span<std::byte> block = backend_->memory().bytes(BlockId(first_block + i));
      bytes.append(reinterpret_cast<const char*>(block.data()), block.size());
    }
    return bytes;
  }

 private:
  std::unique_ptr<GgufFile> file_;
  std::unique_ptr<Backend> backend_;
};

// Ids that look like nothing in particular.
inline std::vector<TokenId> random_ids(std::size_t count, std::uint32_t vocabulary, std::uint64_t seed) {
  Prng prng(seed);
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < count; ++i) ids.push_back(static_cast<TokenId>(prng.below(vocabulary)));
  return ids;
}

// The bytes of floats, so that a comparison sees every bit.
inline std::string bits_of(std::span<const float> values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

// Root mean square of own - truth as a part of that of truth.
inline double relative_error(std::span<const float> own, std::span<const float> truth) {
  double difference = 0, whole = 0;
  for (std::size_t i = 0; i < own.size(); ++i) {
    difference += (double{own[i]} - truth[i]) * (double{own[i]} - truth[i]);
    whole += double{truth[i]} * truth[i];
  }
  return std::sqrt(difference / whole);
}

}  // namespace kvasir::testing
