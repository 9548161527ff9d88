// Promise 1 with speculation: ids, the bits of the logits they were chosen from, logprobs, how answers end and what
// later prompts find in the cache are those without it, greedy and seeded, with penalties and stop tokens, on every
// instruction set. On the default model where its file is there, and on a tiny one.
#include <bit>
#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/parity/model/transparency.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace kvasir {
namespace {

using testing::LogitsTap;

class KeepingTokens final : public testing::Waiting {
 public:
  bool on_token(const SampledToken& token) override {
    bits.push_back(std::bit_cast<std::uint32_t>(token.logprob));
    for (const TokenLogprob& other : token.top)
      bits.insert(bits.end(), {static_cast<std::uint32_t>(other.id), std::bit_cast<std::uint32_t>(other.logprob)});
    return Waiting::on_token(token);
  }
  std::vector<std::uint32_t> bits;  // of what is told of the tokens beside their ids
};

struct Told {
  std::vector<TokenId> ids;
  std::vector<std::uint64_t> logits;
  std::vector<std::uint32_t> bits;
  FinishReason reason{};
  std::uint32_t generated = 0, cached = 0;
  bool operator==(const Told&) const = default;
};

struct Setting {
  bool speculation = false, reference = false;
  std::string kernel_class = {};
  std::uint32_t running = 1;
};

class SpeculationTest : public ::testing::Test {
 protected:
  void open(const std::string& path) {
    file_ = std::move(*GgufFile::open(path));
    config_ = *read_model_config(*file_);
  }
  std::string tiny() { return testing::write_tiny_model(folder_ / "tiny.gguf"); }

  std::unique_ptr<Backend> backend(const Setting& setting) const {
    BackendOptions options;
    options.threads = 2;
    options.pool_bytes = 64u << 20;
    options.kernel_class = setting.kernel_class;
    auto made = setting.reference ? make_reference_backend(*file_, config_, options)
                                  : make_cpu_backend(*file_, config_, options);
    return std::move(*made);
  }

  // A text that comes back to where it was, again and again.
  std::vector<TokenId> circling(std::uint32_t period, std::uint32_t length) const {
    std::vector<TokenId> ids;
    Prng prng(period);
    for (std::uint32_t i = 0; i < period; ++i) ids.push_back(static_cast<TokenId>(prng.below(config_.vocabulary)));
    while (ids.size() < length) ids.push_back(ids[ids.size() - period]);
    return ids;
  }

  std::vector<GenerateRequest> requests(std::uint32_t length, std::uint32_t output) const {
    std::vector<GenerateRequest> made;
    for (int variant = 0; variant < 4; ++variant) {
      GenerateRequest request;
      request.prompt = circling(length / 4 + static_cast<std::uint32_t>(variant), length);
      request.salts = {{0, Salt{}}};
      request.max_tokens = output;
      SamplingParams& sampling = request.sampling;
      sampling.temperature = variant % 2 == 0 ? 0.0f : 0.5f;
      sampling.seed = 7;
      sampling.want_logprobs = variant > 0;
      sampling.logprobs = 3;
      if (variant == 2) sampling.repetition_penalty = 1.02f, sampling.frequency_penalty = 0.01f;
      if (variant == 3) request.stop_tokens = {request.prompt[2]}, sampling.top_p = 0.9f;
      made.push_back(std::move(request));
    }
    return made;
  }

  // Asks, then asks how each goes on after its answer.
  void run(std::vector<GenerateRequest> asked, const Setting& setting, std::vector<Told>& told) {
    const std::unique_ptr<Backend> fresh = backend(setting);
    LogitsTap tap(*fresh);
    EngineConfig config;
    config.speculation = setting.speculation;
    config.running_max = setting.running;
    config.itl_target.factor = 100;
    const auto engine = Engine::start(config, tap, Fingerprint{}, PrefixCacheConfig{}, nullptr);
    for (int round = 0; round < 2; ++round) {
      std::vector<std::pair<SequenceId, std::shared_ptr<KeepingTokens>>> running;
      for (GenerateRequest& request : asked) {
        request.arrived = Clock::now();
        const auto listener = std::make_shared<KeepingTokens>();
        running.emplace_back(*engine->submit(request, listener), listener);
      }
      for (std::size_t i = 0; i < asked.size(); ++i) {
        const auto& [id, listener] = running[i];
        const FinishInfo info = listener->wait();
        std::vector<std::uint64_t> logits = tap.of(id);  // of drafts behind a stop token too
        ASSERT_GE(logits.size(), listener->ids().size());
        logits.resize(listener->ids().size());
        told.push_back(
            {listener->ids(), logits, listener->bits, info.reason, info.generated_tokens, info.usage.cached_total()});
        asked[i].prompt.insert(asked[i].prompt.end(), listener->ids().begin(), listener->ids().end());
        asked[i].prompt.push_back(1);
      }
    }
    accepted_ += engine->stats().tokens_accepted;
    EXPECT_TRUE(setting.speculation || engine->stats().tokens_drafted == 0);
  }

  void expect_that_drafts_change_nothing(const std::vector<GenerateRequest>& asked, Setting setting) {
    std::vector<Told> off, on;
    setting.speculation = false;
    run(asked, setting, off);
    setting.speculation = true;
    run(asked, setting, on);
    ASSERT_EQ(on.size(), off.size());
    for (std::size_t i = 0; i < on.size(); ++i) {
      EXPECT_EQ(on[i].ids, off[i].ids) << setting.kernel_class << " " << i;
      EXPECT_TRUE(on[i] == off[i]) << setting.kernel_class << " " << i;
    }
  }

  const bool full_ = std::getenv("KVASIR_FULL") != nullptr;
  std::uint64_t accepted_ = 0;
  testing::TempDir folder_;
  std::unique_ptr<GgufFile> file_;
  ModelConfig config_;
};

TEST_F(SpeculationTest, ChangesNothingOnAnyInstructionSet) {
  open(tiny());
  for (const std::string& name : available_kernel_classes())
    for (const std::uint32_t running : {1u, 4u})
      expect_that_drafts_change_nothing(requests(70, 90), {.kernel_class = name, .running = running});
  EXPECT_GT(accepted_, 20u);
}

TEST_F(SpeculationTest, ChangesNothingInTheReference) {
  open(tiny());
  expect_that_drafts_change_nothing(requests(40, 40), {.reference = true});
  EXPECT_GT(accepted_, 10u);
}

TEST_F(SpeculationTest, ChangesNothingOnARealModel) {
  const std::string path = testing::default_model_path();
  if (path.empty()) GTEST_SKIP() << "the default model is not there";
  open(path);
  for (const std::string& name : available_kernel_classes()) {
    if (name == "scalar" && !full_) continue;
    expect_that_drafts_change_nothing(requests(full_ ? 600 : 120, full_ ? 200 : 48), {.kernel_class = name});
  }
  EXPECT_GT(accepted_, 50u);
}

}  // namespace
}  // namespace kvasir
