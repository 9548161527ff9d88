// What the CPU backend alone does with a model: prefill, and decode at depths, in tokens a second, as llama-bench
// counts them; and what a token must read and compute. One JSON line a test. bench/run cpu drives it.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "engine/cpu/cpu_backends.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"

namespace {

using namespace kvasir;

// Runs one sequence over the blocks 0, 1, ... of a backend's pool.
class Driver {
 public:
  explicit Driver(Backend& backend) : backend_(backend) {
    greedy_.temperature = 0;
    backend_.set_wakeup([this] {
      wakeups_.fetch_add(1);
      wakeups_.notify_one();
    });
  }

  TokenId step(const std::vector<TokenId>& ids, std::size_t first, std::size_t end) {
    SequenceInput sequence;
    sequence.ids = std::span(ids).first(end);
    sequence.first_position = static_cast<std::uint32_t>(first);
    sequence.sampling = &greedy_;
    const std::uint32_t blocks = div_ceil(static_cast<std::uint32_t>(end), backend_.info().block_tokens);
    for (std::uint32_t i = 0; i < blocks; ++i) sequence.blocks.push_back(BlockId{i});
    Batch batch;
    batch.sequences.push_back(std::move(sequence));
    const Ticket ticket = backend_.submit(std::move(batch));
    while (true) {
      const std::uint32_t seen = wakeups_.load();
      if (const auto result = backend_.poll(ticket)) return result->sequences[0].sampled->id;
      wakeups_.wait(seen);
    }
  }

 private:
  Backend& backend_;
  SamplingParams greedy_;
  std::atomic<std::uint32_t> wakeups_{0};
};

// Ids without a pattern, from a linear congruence: nothing here depends on what they mean.
std::vector<TokenId> some_ids(std::size_t count, std::uint32_t vocabulary) {
  std::vector<TokenId> ids;
  std::uint32_t state = 1;
  while (ids.size() < count) {
    state = state * 1664525 + 1013904223;
    ids.push_back(static_cast<TokenId>((state >> 8) % vocabulary));
  }
  return ids;
}

using Time = std::chrono::steady_clock::time_point;

double seconds_since(Time begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void step_through(Driver& driver, const std::vector<TokenId>& ids, std::size_t chunk) {
  for (std::size_t first = 0; first < ids.size(); first += chunk)
    driver.step(ids, first, std::min(first + chunk, ids.size()));
}

void prefill(Driver& driver, std::uint32_t vocabulary, std::size_t tokens, std::size_t chunk) {
  const std::vector<TokenId> ids = some_ids(tokens, vocabulary);
  const Time begin = std::chrono::steady_clock::now();
  step_through(driver, ids, chunk);
  std::printf("{\"test\": \"prefill %zu\", \"tokens_per_second\": %.2f}\n", tokens,
              static_cast<double>(tokens) / seconds_since(begin));
}

// Tokens one by one after `depth` others.
void decode(Driver& driver, std::uint32_t vocabulary, std::size_t depth, std::size_t tokens, std::size_t chunk) {
  std::vector<TokenId> ids = some_ids(depth, vocabulary);
  step_through(driver, ids, chunk);
  ids.reserve(depth + tokens + 1);
  ids.push_back(1);
  const Time begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < tokens; ++i) ids.push_back(driver.step(ids, ids.size() - 1, ids.size()));
  std::printf("{\"test\": \"decode at %zu\", \"tokens_per_second\": %.2f}\n", depth,
              static_cast<double>(tokens) / seconds_since(begin));
}

// What a decoded token cannot help reading: every weight once (of the embedding one row, unless it is the output too),
// and the KV of each token before it. And what a prompt's token cannot help computing: every weight of the layers once.
void report_need(const GgufFile& file, const Backend& backend) {
  std::size_t weights = 0, operations = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name != "token_embd.weight" || file.tensor("output.weight") == nullptr) weights += tensor.data.size();
    if (tensor.name.starts_with("blk.") && tensor.dims.size() == 2) operations += 2 * tensor.elements();
  }
  const BackendInfo& info = backend.info();
  std::printf(
      "{\"kernel_class\": \"%s\", \"weight_bytes\": %zu, \"kv_bytes_per_token\": %zu, "
      "\"operations_per_token\": %zu}\n",
      info.kernel_class.c_str(), weights, info.block_bytes / info.block_tokens, operations);
}

template <class T>
T value_or_exit(Result<T> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "model_bench: %s\n", result.error().message.c_str());
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"prefill and decode speed of the CPU backend", "model_bench"};
  std::string path;
  BackendOptions options;
  std::vector<std::size_t> prefills{512, 2048}, depths{0};
  std::size_t decodes = 128, chunk = 512;
  app.add_option("--model", path, "GGUF file")->required();
  app.add_option("--threads", options.threads, "compute threads; 0: one per core");
  app.add_option("--kernels", options.kernel_class, "kernel class; empty: the best the machine has");
  app.add_option("--prefill", prefills, "prompt lengths");
  app.add_option("--depth", depths, "tokens before those that are decoded");
  app.add_option("--decode", decodes, "tokens to decode");
  app.add_option("--chunk", chunk, "prefill tokens of one step")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  options.pool_bytes = 512u << 20;

  const auto file = value_or_exit(GgufFile::open(path));
  const ModelConfig config = value_or_exit(read_model_config(*file));
  const auto backend = value_or_exit(make_cpu_backend(*file, config, options));
  report_need(*file, *backend);
  Driver driver(*backend);
  const std::vector<TokenId> warm_up = some_ids(64, config.vocabulary);
  driver.step(warm_up, 0, warm_up.size());
  for (const std::size_t tokens : prefills) prefill(driver, config.vocabulary, tokens, chunk);
  for (const std::size_t depth : depths)
    if (decodes > 0) decode(driver, config.vocabulary, depth, decodes, chunk);
}
