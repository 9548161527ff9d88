#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace kvasir {

// What a step computes, as far as its duration goes.
struct StepLoad {
  std::uint32_t decodes = 0, prefill_tokens = 0;
  std::uint64_t decode_context = 0;   // tokens that the decodes attend to, summed over them
  std::uint64_t prefill_context = 0;  // tokens that the prefill tokens attend to, summed over them

  // One token that attends to `tokens`.
  void add_decode(std::uint64_t tokens) {
    ++decodes;
    decode_context += tokens;
  }
  // `count` tokens of a prompt from `position` on.
  void add_prefill(std::uint64_t position, std::uint64_t count) {
    prefill_tokens += static_cast<std::uint32_t>(count);
    prefill_context += count * position + count * (count + 1) / 2;
  }
};

// How long steps take, learned from those that ended: a fixed part, one for each decode and each prefill token, and one
// for each token that these attend to. Least squares of relative errors over the latest steps, no part below zero.
// Steps of decodes alone, of prefill alone and of both age apart, so that a long time of one kind forgets nothing of
// the others. A step that took over twice or under half of what was expected counts as just that, so one hiccup moves
// little while a machine that has changed its speed is followed within some dozen steps. Owned by the owner thread.
class StepTimeModel {
 public:
  static constexpr std::size_t kParts = 5;

  void learn(const StepLoad& load, double seconds);
  double predict(const StepLoad& load) const;  // seconds; 0 before anything was learned

  // Seconds a step, a decode, a prefill token, and a token attended to by a decode or by a prefill token.
  std::array<double, kParts> parts() const;

 private:
  using Row = std::array<double, kParts>;
  enum Kind : std::uint8_t { decodes_only, prefill_only, mixed, kKinds };
  struct Sums {  // of the normal equations, older steps weigh less
    std::array<Row, kParts> products{};
    Row targets{};
    std::uint32_t steps = 0;
  };

  static Row row_of(const StepLoad& load);
  static Kind kind_of(const StepLoad& load);
  void solve();

  std::array<Sums, kKinds> sums_{};
  Row parts_{};  // in the units of row_of()
};

}  // namespace kvasir
