#include <algorithm>
#include <utility>

#include "engine/cpu/cpu_backends.h"
#include "engine/cpu/host_block_memory.h"
#include "engine/cpu/reference_model.h"
#include "engine/cpu/step_worker.h"
#include "engine/model/weights.h"

namespace kvasir {

namespace {

using reference::Model;
using reference::Row;

constexpr std::size_t kRowsMax = 512;  // of one forward pass; bounds the activations

class ReferenceBackend final : public Backend {
 public:
  ReferenceBackend(const ModelTensors& tensors, const ModelConfig& config, const BackendOptions& options,
                   std::unique_ptr<HostBlockMemory> memory, std::uint32_t positions)
      : memory_(std::move(memory)),
        model_(tensors, config, options.block_tokens, positions, options.threads),
        info_{.name = "reference",
              .kernel_class = "scalar",
              .numerics_id = "reference.2",
              .kv_layout = "f32 [layer][K|V][kv_head][token][dim]",
              .block_bytes = memory_->block_bytes(),
              .block_tokens = options.block_tokens,
              .vocabulary = config.vocabulary,
              .context_tokens = positions},
        worker_([this](const Batch& batch) { return compute(batch); }) {}

  const BackendInfo& info() const override { return info_; }
  BlockMemory& memory() override { return *memory_; }
  void set_wakeup(std::function<void()> wakeup) override { worker_.set_wakeup(std::move(wakeup)); }
  Ticket submit(Batch batch) override {
    for (const SequenceInput& sequence : batch.sequences) check(sequence);
    return worker_.submit(std::move(batch));
  }
  std::optional<BatchResult> poll(Ticket ticket) override { return worker_.poll(ticket); }

 private:
  void check(const SequenceInput& sequence) const {
    KVASIR_ASSERT(sequence.first_position < sequence.ids.size());
    KVASIR_ASSERT(sequence.ids.size() <= info_.context_tokens);
    KVASIR_ASSERT(sequence.blocks.size() >=
                  div_ceil(static_cast<std::uint32_t>(sequence.ids.size()), info_.block_tokens));
    KVASIR_ASSERT(sequence.drafts == 0 || sequence.first_position + 1 + sequence.drafts == sequence.ids.size());
    KVASIR_ASSERT(sequence.drafts < kRowsMax);
    for (std::size_t i = sequence.first_position; i < sequence.ids.size(); ++i) {
      KVASIR_ASSERT(sequence.ids[i] >= 0 && static_cast<std::uint32_t>(sequence.ids[i]) < info_.vocabulary);
    }
  }

  // Sequences one after the other: a row's bits depend on neither its neighbours nor the order.
  BatchResult compute(const Batch& batch) {
    BatchResult result;
    for (const SequenceInput& sequence : batch.sequences) result.sequences.push_back(compute(sequence));
    return result;
  }

  SequenceOutput compute(const SequenceInput& sequence) {
    std::vector<float*> blocks;
    for (const BlockId id : sequence.blocks) blocks.push_back(reinterpret_cast<float*>(memory_->bytes(id).data()));
    SequenceOutput output;
    output.id = sequence.id;
    std::vector<float> hidden;
    for (std::size_t first = sequence.first_position; first < sequence.ids.size(); first += kRowsMax) {
      hidden = model_.forward(rows_of(sequence, blocks, first));
      if (sequence.logits != LogitsWanted::all) continue;
      const std::vector<float> logits = model_.logits(hidden);
      output.logits.insert(output.logits.end(), logits.begin(), logits.end());
    }
    finish(sequence, hidden, output);
    return output;
  }

  static std::vector<Row> rows_of(const SequenceInput& sequence, std::span<float* const> blocks, std::size_t first) {
    std::vector<Row> rows;
    for (std::size_t i = first; i < std::min(first + kRowsMax, sequence.ids.size()); ++i) {
      rows.push_back({sequence.ids[i], static_cast<std::uint32_t>(i), blocks});
    }
    return rows;
  }

  // What is wanted of the last position and, with drafts, of those before it. `hidden` ends with their rows.
  void finish(const SequenceInput& sequence, std::span<const float> hidden, SequenceOutput& output) {
    if (sequence.sampling == nullptr && sequence.logits != LogitsWanted::last) return;
    std::vector<float> last = model_.logits(hidden.last((1 + sequence.drafts) * model_.hidden()));
    const std::size_t vocabulary = info_.vocabulary;
    for (std::uint32_t i = 0; sequence.sampling != nullptr && i <= sequence.drafts; ++i) {
      const std::span<const TokenId> ids = sequence.ids.first(sequence.ids.size() - sequence.drafts + i);
      SampledToken token = sample(std::span(last).subspan(i * vocabulary, vocabulary), *sequence.sampling, ids,
                                  sequence.prompt_tokens, static_cast<std::uint32_t>(ids.size()));
      if (i == 0) {
        output.sampled = std::move(token);
      } else {
        output.after_drafts.push_back(std::move(token));
      }
    }
    if (sequence.logits == LogitsWanted::last) output.logits = std::move(last);
  }

  std::unique_ptr<HostBlockMemory> memory_;
  Model model_;
  BackendInfo info_;
  StepWorker worker_;  // last: its thread uses everything above
};

}  // namespace

Result<std::unique_ptr<Backend>> make_reference_backend(const GgufFile& file, const ModelConfig& config,
                                                        const BackendOptions& options) {
  if (!options.kernel_class.empty() && options.kernel_class != "scalar") {
    return error(ErrorCode::invalid_argument, "the reference backend has the kernel class \"scalar\" only");
  }
  KVASIR_ASSERT(options.block_tokens > 0);
  Result<ModelTensors> tensors = find_tensors(file, config);
  if (!tensors) return std::move(tensors).error();
  const reference::BlockLayout layout{options.block_tokens, config.kv_heads, config.head_dim, config.layers};
  Result<std::unique_ptr<HostBlockMemory>> memory = HostBlockMemory::create(options.pool_bytes, layout.block_bytes());
  if (!memory) return std::move(memory).error();
  const std::size_t pool_tokens = std::size_t{(*memory)->block_count()} * options.block_tokens;
  const auto positions = static_cast<std::uint32_t>(std::min<std::size_t>(config.context_tokens, pool_tokens));
  return std::unique_ptr<Backend>(
      std::make_unique<ReferenceBackend>(*tensors, config, options, std::move(*memory), positions));
}

}  // namespace kvasir
