#include "engine/null_backend.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include <gtest/gtest.h>

#include "engine/engine.h"

namespace kvasir {
namespace {

SequenceInput input(std::span<const TokenId> ids, std::uint32_t first, const SamplingParams* sampling) {
  SequenceInput made;
  made.ids = ids;
  made.first_position = first;
  for (std::uint32_t b = 0; b < div_ceil(static_cast<std::uint32_t>(ids.size()), 4); ++b)
    made.blocks.push_back(BlockId{b});
  made.sampling = sampling;
  return made;
}

SequenceOutput run(NullBackend& backend, SequenceInput made) {
  Batch batch;
  batch.sequences.push_back(std::move(made));
  const Ticket ticket = backend.submit(std::move(batch));
  auto result = backend.poll(ticket);
  KVASIR_ASSERT(result && !backend.poll(ticket));
  return result->sequences.at(0);
}

std::unique_ptr<NullBackend> small() {
  return NullBackend::make({.block_count = 8, .block_tokens = 4, .vocabulary = 100});
}

const std::vector<TokenId> kIds{1, 2, 3, 4, 5, 6, 7};
const SamplingParams kSampling{};

TEST(NullBackend, ChunksGiveTheSameTokenAndBytes) {
  auto whole = small(), chunked = small();
  const auto expected = run(*whole, input(kIds, 0, &kSampling));
  run(*chunked, input(std::span(kIds).first(3), 0, nullptr));
  const auto sampled = run(*chunked, input(kIds, 3, &kSampling));
  EXPECT_EQ(sampled.sampled->id, expected.sampled->id);
  EXPECT_EQ(sampled.sampled->id, null_next_token(kIds, kSampling, 100));
  for (const std::uint32_t b : {0u, 1u})
    EXPECT_TRUE(std::ranges::equal(whole->memory().bytes(BlockId{b}), chunked->memory().bytes(BlockId{b})));
}

TEST(NullBackendDeathTest, AbortsWhenTheKvIsOfOtherIds) {
  auto backend = small();
  run(*backend, input(std::span(kIds).first(4), 0, nullptr));
  std::vector<TokenId> other = kIds;
  other[1] = 9;
  EXPECT_DEATH(run(*backend, input(other, 4, nullptr)), "invariant broken");
}

TEST(NullBackendDeathTest, AbortsWhenTwoSequencesWriteOneBlock) {
  auto backend = small();
  Batch batch;
  batch.sequences = {input(kIds, 0, nullptr), input(kIds, 0, nullptr)};
  EXPECT_DEATH(backend->submit(std::move(batch)), "invariant broken");
}

TEST(NullBackend, GreedyChoiceHasTheHighestLogit) {
  auto backend = small();
  SamplingParams greedy;
  greedy.temperature = 0.0f;
  greedy.want_logprobs = true;
  greedy.logprobs = 3;
  SequenceInput made = input(kIds, 0, &greedy);
  made.logits = LogitsWanted::all;
  const SequenceOutput output = run(*backend, std::move(made));
  ASSERT_EQ(output.logits.size(), kIds.size() * 100);
  const auto row = std::span(output.logits).last(100);
  EXPECT_EQ(std::max_element(row.begin(), row.end()) - row.begin(), output.sampled->id);
  ASSERT_EQ(output.sampled->top.size(), 3u);
  EXPECT_EQ(output.sampled->top[0].id, output.sampled->id);
}

TEST(NullBackend, ThreadedRingsWhenTheResultIsThere) {
  auto backend = NullBackend::make({.block_count = 8,
                                    .block_tokens = 4,
                                    .vocabulary = 100,
                                    .completion = NullBackendConfig::Completion::threaded,
                                    .delay_per_token = std::chrono::microseconds(100)});
  std::mutex mutex;
  std::condition_variable rung;
  bool ready = false;
  backend->set_wakeup([&] {
    const std::lock_guard lock(mutex);
    ready = true;
    rung.notify_one();
  });
  Batch batch;
  batch.sequences.push_back(input(kIds, 0, &kSampling));
  const Ticket ticket = backend->submit(std::move(batch));
  std::unique_lock lock(mutex);
  rung.wait(lock, [&] { return ready; });
  lock.unlock();
  const auto result = backend->poll(ticket);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->sequences[0].sampled->id, null_next_token(kIds, kSampling, 100));
  EXPECT_EQ(backend->tokens_computed(), 7u);
}

TEST(KvFingerprint, DependsOnWeightsNumericsAndLayout) {
  BackendInfo info;
  info.numerics_id = "cpu/1";
  info.kv_layout = "f16";
  const Fingerprint first = kv_fingerprint(WeightsDigest{}, info);
  EXPECT_EQ(first, kv_fingerprint(WeightsDigest{}, info));
  WeightsDigest other_weights;
  other_weights.bytes[0] = 1;
  EXPECT_NE(first, kv_fingerprint(other_weights, info));
  BackendInfo numerics = info, layout = info, shifted = info;
  numerics.numerics_id = "cpu/2";
  layout.kv_layout = "f32";
  shifted.numerics_id = "cpu/1f";
  shifted.kv_layout = "16";
  EXPECT_NE(first, kv_fingerprint(WeightsDigest{}, numerics));
  EXPECT_NE(first, kv_fingerprint(WeightsDigest{}, layout));
  EXPECT_NE(first, kv_fingerprint(WeightsDigest{}, shifted));
  info.block_tokens = 64;  // part of the root key, not of the fingerprint
  EXPECT_EQ(first, kv_fingerprint(WeightsDigest{}, info));
}

}  // namespace
}  // namespace kvasir
