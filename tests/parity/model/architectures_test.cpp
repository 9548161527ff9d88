// Logits of tiny random models of each architecture, against what Hugging Face Transformers says about them in fp32
// (tests/golden, made by tools/golden/make.py); and that each feature of an architecture is seen by that comparison.
#include <cmath>
#include <filesystem>
#include <functional>
#include <iostream>

#include <gtest/gtest.h>

#include "engine/cpu/cpu_backends.h"
#include "engine/cpu/reference_model.h"
#include "engine/score.h"

namespace kvasir {
namespace {

constexpr double kTolerance = 1e-3;

// One golden file: a model, a prompt, and what Transformers says after some positions of it.
struct Golden {
  std::string name;
  std::unique_ptr<GgufFile> file;
  ModelConfig config;
  std::vector<TokenId> ids;
  std::vector<std::uint32_t> positions;
  std::vector<double> logits;  // (positions, vocabulary)

  std::span<const double> logits_at(std::size_t i) const {
    return std::span(logits).subspan(i * config.vocabulary, config.vocabulary);
  }
};

template <class T>
std::vector<T> numbers(const GgufFile& file, const char* key) {
  std::vector<T> out;
  std::visit(
      [&](const auto& values) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(values)>, std::vector<std::string>>)
          for (const auto value : values) out.push_back(static_cast<T>(value));
      },
      std::get<GgufFile::Array>(*file.meta(key)));
  return out;
}

Golden load(const std::string& name) {
  auto file = GgufFile::open(std::string(KVASIR_SOURCE_DIR) + "/tests/golden/" + name + ".gguf");
  if (!file) throw std::runtime_error(file.error().message);
  auto config = read_model_config(**file);
  if (!config) throw std::runtime_error(name + ": " + config.error().message);
  Golden golden{name, std::move(*file), *config, {}, {}, {}};
  golden.ids = numbers<TokenId>(*golden.file, "golden.ids");
  golden.positions = numbers<std::uint32_t>(*golden.file, "golden.positions");
  golden.logits = numbers<double>(*golden.file, "golden.logits");
  return golden;
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(KVASIR_SOURCE_DIR) + "/tests/golden"))
    if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

class ArchitectureParity : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, ArchitectureParity, ::testing::ValuesIn(golden_names()),
                         [](const auto& golden) { return golden.param; });

// Through the backend, as an engine uses it.
TEST_P(ArchitectureParity, ReferenceEqualsTransformers) {
  const Golden golden = load(GetParam());
  BackendOptions options;
  options.threads = 2;
  options.pool_bytes = 16u << 20;
  const auto backend = make_reference_backend(*golden.file, golden.config, options);
  ASSERT_TRUE(backend) << backend.error().message;
  std::vector<std::vector<float>> rows;
  ScoreOptions score;
  score.each_row = [&](std::uint32_t, std::span<const float> row) { rows.emplace_back(row.begin(), row.end()); };
  ASSERT_TRUE(Scorer(**backend).score(golden.ids, score));
  ASSERT_EQ(golden.logits.size(), golden.positions.size() * golden.config.vocabulary);
  double largest = 0;
  for (std::size_t i = 0; i < golden.positions.size(); ++i) {
    for (std::size_t id = 0; id < golden.config.vocabulary; ++id)
      largest = std::max(largest, std::fabs(golden.logits_at(i)[id] - rows[golden.positions[i]][id]));
  }
  std::cout << golden.name << ": largest difference of a logit " << largest << "\n";
  EXPECT_LE(largest, kTolerance);
}

// What a model would compute if kvasir got one thing wrong.
struct Mistake {
  const char* name;
  std::function<bool(ModelConfig&, ModelTensors&)> make;  // false: the model does not have the feature
};

bool drop(ModelTensors& tensors, const GgufTensor* LayerTensors::*tensor) {
  const bool there = tensors.layers[0].*tensor != nullptr;
  for (LayerTensors& layer : tensors.layers) layer.*tensor = nullptr;
  return there;
}

template <class T>
bool change(bool feature, T& value, T wrong) {
  value = wrong;
  return feature;
}

const std::vector<Mistake>& mistakes() {
  using C = ModelConfig;
  using T = ModelTensors;
  static const std::vector<Mistake> all = {
      {"the other pairing",
       [](C& c, T&) {
         const bool halves = c.rope_pairing == RopePairing::halves;
         return change(true, c.rope_pairing, halves ? RopePairing::adjacent : RopePairing::halves);
       }},
      {"another base",
       [](C& c, T&) {
         const bool all_local = c.sliding_window != 0 && c.global_interval == 0;
         return change(!all_local, c.rope.base, c.rope.base * 1.5f);
       }},
      {"another base of local layers",
       [](C& c, T&) { return change(c.sliding_window != 0, c.local_rope.base, c.local_rope.base * 1.5f); }},
      {"no scaling", [](C& c, T&) { return change(c.rope.scaling != RopeScaling::none, c.rope.scaling, {}); }},
      {"another factor",
       [](C& c, T&) { return change(c.rope.scaling != RopeScaling::none, c.rope.factor, c.rope.factor / 2); }},
      {"linear for YaRN",
       [](C& c, T&) { return change(c.rope.scaling == RopeScaling::yarn, c.rope.scaling, RopeScaling::linear); }},
      {"no attention factor",
       [](C& c, T&) { return change(c.rope.scaling == RopeScaling::yarn, c.rope.attention_factor, 1.0f); }},
      {"another original context",
       [](C& c, T&) { return change(c.rope.scaling == RopeScaling::yarn, c.rope.original_context, 64u); }},
      {"another beta_slow",
       [](C& c, T&) { return change(c.rope.scaling == RopeScaling::yarn, c.rope.beta_slow, 0.05f); }},
      {"another beta_fast",
       [](C& c, T&) { return change(c.rope.scaling == RopeScaling::yarn, c.rope.beta_fast, 0.3f); }},
      {"no divisors", [](C&, T& t) { return std::exchange(t.rope_freqs, nullptr) != nullptr; }},
      {"one base for all layers",
       [](C& c, T&) { return change(c.global_interval != 0, c.local_rope.base, c.rope.base); }},
      {"scaling of all layers",
       [](C& c, T&) {
         return change(c.global_interval != 0, c.local_rope.scaling, RopeScaling::linear) &&
                change(true, c.local_rope.factor, 8.0f);
       }},
      {"no window", [](C& c, T&) { return change(c.sliding_window != 0, c.sliding_window, 0u); }},
      {"a window longer by 1",
       [](C& c, T&) { return change(c.sliding_window != 0, c.sliding_window, c.sliding_window + 1); }},
      {"a window shorter by 1",
       [](C& c, T&) { return change(c.sliding_window != 0, c.sliding_window, c.sliding_window - 1); }},
      {"all layers local", [](C& c, T&) { return change(c.global_interval != 0, c.global_interval, 0u); }},
      {"another pattern",
       [](C& c, T&) { return change(c.global_interval != 0, c.global_interval, c.global_interval - 1); }},
      {"the other activation",
       [](C& c, T&) {
         const bool silu = c.activation == Activation::silu;
         return change(true, c.activation, silu ? Activation::gelu_tanh : Activation::silu);
       }},
      {"no embedding scale", [](C& c, T&) { return change(c.embedding_scale != 1, c.embedding_scale, 1.0f); }},
      {"another attention scale", [](C& c, T&) { return change(true, c.attention_scale, c.attention_scale * 1.1f); }},
      {"another epsilon", [](C& c, T&) { return change(true, c.rms_epsilon, 1e-5f); }},
      {"no q and k norms", [](C& c, T&) { return change(c.qk_norm, c.qk_norm, false); }},
      {"q and k norms swapped",
       [](C& c, T& t) {
         for (LayerTensors& layer : t.layers) std::swap(layer.q_norm, layer.k_norm);
         return c.qk_norm;
       }},
      {"no post norms", [](C& c, T&) { return change(c.post_norms, c.post_norms, false); }},
      {"post norms swapped",
       [](C& c, T& t) {
         for (LayerTensors& layer : t.layers) std::swap(layer.attn_post_norm, layer.ffn_post_norm);
         return c.post_norms;
       }},
      {"norms swapped",
       [](C&, T& t) {
         for (LayerTensors& layer : t.layers) std::swap(layer.attn_norm, layer.ffn_norm);
         return true;
       }},
      {"no bias of q", [](C&, T& t) { return drop(t, &LayerTensors::bq); }},
      {"no bias of k", [](C&, T& t) { return drop(t, &LayerTensors::bk); }},
      {"no bias of v", [](C&, T& t) { return drop(t, &LayerTensors::bv); }},
      {"no bias of the output", [](C&, T& t) { return drop(t, &LayerTensors::bo); }},
      {"the other output matrix",
       [](C& c, T& t) {
         t.output = t.token_embd;
         return change(!c.tied_output, c.tied_output, true);
       }},
  };
  return all;
}

// The largest difference from Transformers when `config` and `tensors` are as given.
double largest_difference(const Golden& golden, const ModelTensors& tensors, const ModelConfig& config) {
  constexpr std::uint32_t kBlockTokens = 32;
  const auto count = static_cast<std::uint32_t>(golden.ids.size());
  reference::Model model(tensors, config, kBlockTokens, count, 1);
  const reference::BlockLayout layout{kBlockTokens, config.kv_heads, config.head_dim, config.layers};
  std::vector<std::vector<float>> memory(div_ceil(count, kBlockTokens),
                                         std::vector<float>(layout.block_bytes() / sizeof(float)));
  std::vector<float*> blocks;
  for (std::vector<float>& block : memory) blocks.push_back(block.data());
  std::vector<reference::Row> rows;
  for (std::uint32_t i = 0; i < count; ++i) rows.push_back({golden.ids[i], i, blocks});
  const std::vector<float> hidden = model.forward(rows);
  double largest = 0;
  for (std::size_t i = 0; i < golden.positions.size(); ++i) {
    const std::span<const float> state =
        std::span(hidden).subspan(std::size_t{golden.positions[i]} * config.hidden, config.hidden);
    const std::vector<float> logits = model.logits(state);
    for (std::size_t id = 0; id < logits.size(); ++id)
      largest = std::max(largest, std::fabs(golden.logits_at(i)[id] - logits[id]));
  }
  return largest;
}

// Otherwise the test above would not see the mistake either.
TEST_P(ArchitectureParity, EveryMistakeMovesTheLogits) {
  const Golden golden = load(GetParam());
  const auto tensors = find_tensors(*golden.file, golden.config);
  ASSERT_TRUE(tensors) << tensors.error().message;
  EXPECT_LE(largest_difference(golden, *tensors, golden.config), kTolerance);
  double smallest = 1e9;
  const char* least = "";
  for (const Mistake& mistake : mistakes()) {
    ModelConfig config = golden.config;
    ModelTensors changed = *tensors;
    if (!mistake.make(config, changed)) continue;
    const double moved = largest_difference(golden, changed, config);
    EXPECT_GE(moved, 20 * kTolerance) << mistake.name;
    if (moved < smallest) smallest = moved, least = mistake.name;
  }
  std::cout << golden.name << ": seen least is \"" << least << "\", by " << smallest << "\n";
}

TEST(ArchitectureMistakes, EachIsTriedOnSomeModel) {
  for (const Mistake& mistake : mistakes()) {
    bool tried = false;
    for (const std::string& name : golden_names()) {
      Golden golden = load(name);
      ModelTensors tensors = *find_tensors(*golden.file, golden.config);
      tried = tried || mistake.make(golden.config, tensors);
    }
    EXPECT_TRUE(tried) << mistake.name;
  }
}

}  // namespace
}  // namespace kvasir
