#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include <sys/mman.h>

#include "engine/cpu/cpu_backends.h"
#include "engine/cpu/forward.h"
#include "engine/cpu/host_block_memory.h"
#include "engine/cpu/kernel_dispatch.h"
#include "engine/cpu/step_worker.h"
#include "storage/base/assert.h"

namespace kvasir {
namespace {

// Attention walks through pieces of 4 KiB all over the pool: in small pages each would be a miss of the address cache.
// A wish only; a pool is still resident only where it was written, in steps of a huge page.
void ask_for_huge_pages(HostBlockMemory& memory) {
  const std::span<std::byte> last = memory.bytes(BlockId(memory.block_count() - 1));
  std::byte* first = memory.bytes(BlockId(0)).data();
  madvise(first, static_cast<std::size_t>(last.data() + last.size() - first), MADV_HUGEPAGE);
}

Result<cpu::KvType> kv_type_of(const std::string& name) {
  if (name == "f16") return cpu::KvType::f16;
  if (name == "int8") return cpu::KvType::int8;
  return error(ErrorCode::invalid_argument, "the cpu backend keeps KV as f16 or int8, not '" + name + "'", "kv_type");
}

std::string layout_name(cpu::KvType type) {
  if (type == cpu::KvType::f16) return "f16 [layer][K|V][kv_head] K [dim][token] V [token][dim]";
  return "int8 [layer][K|V][kv_head] K [dim][token] V [token][dim], each with f32 scales [token]";
}

constexpr std::uint32_t kRowsMax = 512;      // of one forward pass; bounds the activations
constexpr std::uint32_t kLogitRowsMax = 32;  // of one output product; bounds the logits held beside the results

// Equal for all classes, as kernels.h promises equal bits, but of products with bf16 weights.
std::string numerics_id(const PackedModel& model, const cpu::KernelTable& kernels) {
  bool bf16 = model.output.type() == cpu::PanelType::bf16;
  for (const PackedLayer& l : model.layers)
    for (const PackedMatrix* m : {&l.wq, &l.wk, &l.wv, &l.wo, &l.w_gate, &l.w_up, &l.w_down})
      bf16 |= m->type() == cpu::PanelType::bf16;
  return bf16 && kernels.round_row != nullptr ? "cpu.1+bf16dot" : "cpu.1";
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(PackedModel model, const cpu::KernelTable& kernels, std::uint32_t threads, bool pin_threads,
             const KvLayout& layout, std::unique_ptr<HostBlockMemory> memory, std::uint32_t positions)
      : memory_(std::move(memory)),
        model_(std::move(model)),
        pool_(threads, pin_threads),
        forward_(model_, kernels, pool_, layout),
        info_{.name = "cpu",
              .kernel_class = kernels.name,
              .numerics_id = numerics_id(model_, kernels),
              .kv_layout = layout_name(layout.type),
              .block_bytes = memory_->block_bytes(),
              .block_tokens = layout.block_tokens,
              .vocabulary = model_.config.vocabulary,
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
  // A row whose logits are wanted.
  struct LogitRow {
    std::uint32_t row;       // of the forward pass
    std::uint32_t sequence;  // of the batch
    std::uint32_t position;
  };

  void check(const SequenceInput& s) const {
    KVASIR_ASSERT(s.first_position < s.ids.size() && s.ids.size() <= info_.context_tokens);
    KVASIR_ASSERT(s.blocks.size() >= div_ceil(static_cast<std::uint32_t>(s.ids.size()), info_.block_tokens));
    KVASIR_ASSERT(s.drafts == 0 || s.first_position + 1 + s.drafts == s.ids.size());
    for (const TokenId id : s.ids.subspan(s.first_position))
      KVASIR_ASSERT(id >= 0 && static_cast<std::uint32_t>(id) < info_.vocabulary);
  }

  BatchResult compute(const Batch& batch) {
    BatchResult result;
    addresses_.resize(batch.sequences.size());
    for (std::size_t i = 0; i < batch.sequences.size(); ++i) {
      const SequenceInput& s = batch.sequences[i];
      result.sequences.push_back({s.id, std::nullopt, std::vector<SampledToken>(s.drafts), {}});
      addresses_[i].clear();
      for (const BlockId block : s.blocks)
        addresses_[i].push_back(reinterpret_cast<std::uint8_t*>(memory_->bytes(block).data()));
    }
    rows_ = 0;
    for (std::uint32_t i = 0; i < batch.sequences.size(); ++i) add_sequence(batch, i, result);
    pass(batch, result);
    return result;
  }

  // Adds a sequence's rows to the pass, computing it whenever it is full.
  void add_sequence(const Batch& batch, std::uint32_t index, BatchResult& result) {
    const SequenceInput& s = batch.sequences[index];
    for (std::uint32_t at = s.first_position; at < s.ids.size();) {
      const std::uint32_t count = std::min(kRowsMax - rows_, static_cast<std::uint32_t>(s.ids.size()) - at);
      runs_.push_back({s.ids.subspan(at, count), at, addresses_[index]});
      for (std::uint32_t p = at; p < at + count; ++p)
        if (wants_logits(s, p)) logit_rows_.push_back({rows_ + p - at, index, p});
      rows_ += count;
      at += count;
      if (rows_ == kRowsMax) pass(batch, result);
    }
  }

  static bool wants_logits(const SequenceInput& s, std::uint32_t position) {
    if (s.logits == LogitsWanted::all) return true;
    return position + 1 + s.drafts >= s.ids.size() && (s.logits == LogitsWanted::last || s.sampling != nullptr);
  }

  void pass(const Batch& batch, BatchResult& result) {
    if (rows_ == 0) return;
    forward_.run(runs_);
    for (std::size_t i = 0; i < logit_rows_.size(); i += kLogitRowsMax)
      deliver(batch, std::span(logit_rows_).subspan(i, std::min<std::size_t>(kLogitRowsMax, logit_rows_.size() - i)),
              result);
    runs_.clear();
    logit_rows_.clear();
    rows_ = 0;
  }

  void deliver(const Batch& batch, std::span<const LogitRow> wanted, BatchResult& result) {
    std::vector<std::uint32_t> rows;
    for (const LogitRow& w : wanted) rows.push_back(w.row);
    const float* logits = forward_.logits(rows);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const SequenceInput& s = batch.sequences[wanted[i].sequence];
      if (s.logits == LogitsWanted::none) continue;
      std::vector<float>& out = result.sequences[wanted[i].sequence].logits;
      const float* row = logits + i * forward_.logits_stride();
      out.insert(out.end(), row, row + info_.vocabulary);
    }
    pool_.run(static_cast<std::uint32_t>(wanted.size()), [&](std::uint32_t i, std::uint32_t) {
      const SequenceInput& s = batch.sequences[wanted[i].sequence];
      if (s.sampling == nullptr || wanted[i].position + 1 + s.drafts < s.ids.size()) return;
      const std::span<const float> row(logits + i * forward_.logits_stride(), info_.vocabulary);
      sample_after(s, wanted[i].position, row, result.sequences[wanted[i].sequence]);
    });
  }

  static void sample_after(const SequenceInput& s, std::uint32_t position, std::span<const float> logits,
                           SequenceOutput& output) {
    SampledToken token = sample(logits, *s.sampling, s.ids.first(position + 1), s.prompt_tokens, position + 1);
    const auto first = static_cast<std::uint32_t>(s.ids.size()) - 1 - s.drafts;
    if (position == first) {
      output.sampled = std::move(token);
    } else {
      output.after_drafts[position - first - 1] = std::move(token);
    }
  }

  std::unique_ptr<HostBlockMemory> memory_;
  const PackedModel model_;
  ThreadPool pool_;
  Forward forward_;
  const BackendInfo info_;
  // The step being computed; touched by the worker's thread only.
  std::vector<std::vector<std::uint8_t*>> addresses_;  // (sequences) of their blocks
  std::vector<ForwardRun> runs_;
  std::vector<LogitRow> logit_rows_;
  std::uint32_t rows_ = 0;
  StepWorker worker_;  // last: its thread uses everything above
};

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu_backend(const GgufFile& file, const ModelConfig& config,
                                                  const BackendOptions& options) {
  const std::uint32_t block_tokens = options.block_tokens;
  if (block_tokens < 16 || cpu::kSegmentTokens % block_tokens != 0)
    return error(ErrorCode::invalid_argument,
                 "the cpu backend needs block_tokens of 16, 32, 64 or 128, not " + std::to_string(block_tokens),
                 "block_tokens");
  const Result<cpu::KvType> kv_type = kv_type_of(options.kv_type);
  if (!kv_type) return kv_type.error();
  const KvLayout layout = KvLayout::of(config, block_tokens, *kv_type);
  Result<const cpu::KernelTable*> kernels = find_kernels(options.kernel_class);
  if (!kernels.ok()) return std::move(kernels).error();
  Result<std::unique_ptr<HostBlockMemory>> memory = HostBlockMemory::create(options.pool_bytes, layout.block_bytes());
  if (!memory.ok()) return std::move(memory).error();
  ask_for_huge_pages(*memory.value());
  const std::uint32_t threads =
      options.threads != 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  Result<PackedModel> model = [&] {
    ThreadPool pool(threads);
    return pack_model(file, config, pool);
  }();
  if (!model.ok()) return std::move(model).error();
  const std::size_t pool_tokens = std::size_t{memory.value()->block_count()} * block_tokens;
  const auto positions = static_cast<std::uint32_t>(std::min<std::size_t>(config.context_tokens, pool_tokens));
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(std::move(model).value(), *kernels.value(), threads,
                                                               options.pin_threads, layout, std::move(memory).value(),
                                                               positions));
}

}  // namespace kvasir
