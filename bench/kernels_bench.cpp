// The CPU kernels alone, one line each: what they reach and what this machine allows, measured in the same run by all
// threads: multiply-adds from registers (where the processor has AVX-512), and plain reading of memory.
//   kernels_bench [--class NAME] [--threads N] [--json]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "engine/cpu/aligned_buffer.h"
#include "engine/cpu/kernel_dispatch.h"
#include "engine/cpu/thread_pool.h"

namespace {

using namespace kvasir;
using cpu::PanelType;

// Best of several runs: the machine's other work only ever adds time.
double best_seconds(const std::function<void()>& work, int runs = 7) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

// 8 x 16 independent multiply-adds on registers alone, of the values left there by nothing: only their time counts.
#define KVASIR_REPEAT_8(x) x x x x x x x x
#define KVASIR_SIXTEEN(op)                                                                                 \
  op " %%zmm30, %%zmm31, %%zmm0\n" op " %%zmm30, %%zmm31, %%zmm1\n" op " %%zmm30, %%zmm31, %%zmm2\n" op    \
     " %%zmm30, %%zmm31, %%zmm3\n" op " %%zmm30, %%zmm31, %%zmm4\n" op " %%zmm30, %%zmm31, %%zmm5\n" op    \
     " %%zmm30, %%zmm31, %%zmm6\n" op " %%zmm30, %%zmm31, %%zmm7\n" op " %%zmm30, %%zmm31, %%zmm8\n" op    \
     " %%zmm30, %%zmm31, %%zmm9\n" op " %%zmm30, %%zmm31, %%zmm10\n" op " %%zmm30, %%zmm31, %%zmm11\n" op  \
     " %%zmm30, %%zmm31, %%zmm12\n" op " %%zmm30, %%zmm31, %%zmm13\n" op " %%zmm30, %%zmm31, %%zmm14\n" op \
     " %%zmm30, %%zmm31, %%zmm15\n"
#define KVASIR_CLOBBERS                                                                                               \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
      "xmm14", "xmm15", "xmm30", "xmm31"
#define KVASIR_ZERO "vpxorq %%zmm30, %%zmm30, %%zmm30\nvpxorq %%zmm31, %%zmm31, %%zmm31\n"

constexpr std::uint32_t kMultiplyAdds = 8 * 16;

__attribute__((target("avx512f"))) void int8_multiply_adds() {
  asm volatile(KVASIR_ZERO KVASIR_REPEAT_8(KVASIR_SIXTEEN("vpdpbusd"))::: KVASIR_CLOBBERS);
}

__attribute__((target("avx512f"))) void fp32_multiply_adds() {
  asm volatile(KVASIR_ZERO KVASIR_REPEAT_8(KVASIR_SIXTEEN("vfmadd231ps"))::: KVASIR_CLOBBERS);
}

class Bench {
 public:
  Bench(const cpu::KernelTable& kernels, std::uint32_t threads, bool json)
      : kernels_(kernels), pool_(threads), json_(json) {}

  void run() {
    measure_reading();
    measure_arithmetic();
    for (const PanelType type : {PanelType::q4_0, PanelType::q4_1, PanelType::q5_0, PanelType::q5_1, PanelType::q8_0,
                                 PanelType::q4_k, PanelType::q5_k, PanelType::q6_k})
      for (const std::uint32_t rows : {1u, 8u, 512u}) gemm(type, rows);
    for (const std::uint32_t queries : {3u, cpu::kQueryTile}) attention(queries);
  }

 private:
  void print(const std::string& figure, double value, const char* unit, const char* peer, double peer_value) const {
    const double ratio = peer_value > 0 ? value / peer_value : 0;
    if (json_)
      std::printf(
          "{\"figure\": \"%s\", \"value\": %.1f, \"unit\": \"%s\", \"peer\": \"%s\", \"peer_value\": %.1f, "
          "\"ratio\": %.3f, \"goal\": null, \"met\": null}\n",
          figure.c_str(), value, unit, peer, peer_value, ratio);
    else
      std::printf("%-34s %9.1f %-8s %5.0f %% of %s (%.1f)\n", figure.c_str(), value, unit, 100 * ratio, peer,
                  peer_value);
    std::fflush(stdout);
  }

  // Every thread adds up its own 64 MiB, far more than the caches hold.
  void measure_reading() {
    constexpr std::size_t kWords = 8 << 20, kAhead = 1536;  // the best distance found
    AlignedBuffer<std::uint64_t> memory;
    memory.reserve(kWords * pool_.threads());
    std::memset(memory.data(), 1, kWords * pool_.threads() * 8);
    std::vector<std::uint64_t> sums(pool_.threads() * 8);
    const double seconds = best_seconds([&] {
      pool_.run(pool_.threads(), [&](std::uint32_t i, std::uint32_t) {
        std::uint64_t lanes[8] = {};
        const std::uint64_t* from = memory.data() + i * kWords;
        for (std::size_t at = 0; at < kWords; at += 8) {
          __builtin_prefetch(from + at + kAhead);
          for (std::size_t lane = 0; lane < 8; ++lane) lanes[lane] += from[at + lane];
        }
        sums[i * 8] = std::accumulate(lanes, lanes + 8, std::uint64_t{0});
      });
    });
    read_gbs_ = static_cast<double>(kWords * pool_.threads() * 8) / seconds / 1e9;
    print("plain memory reading", read_gbs_, "GB/s", "itself", read_gbs_);
  }

  void measure_arithmetic() {
    const std::string name = kernels_.name;
    if (name.rfind("avx512", 0) != 0) return;
    if (name == "avx512_vnni") {
      peak_gops_ = giga_per_second(int8_multiply_adds, 128);
      print("int8 from registers", peak_gops_, "GOPS", "itself", peak_gops_);
    }
    peak_gflops_ = giga_per_second(fp32_multiply_adds, 32);
    print("fp32 from registers", peak_gflops_, "GFLOPS", "itself", peak_gflops_);
  }

  double giga_per_second(void (*block)(), double operations) {
    constexpr std::uint32_t kBlocks = 20000;
    const double seconds = best_seconds([&] {
      pool_.run(pool_.threads(), [&](std::uint32_t, std::uint32_t) {
        for (std::uint32_t i = 0; i < kBlocks; ++i) block();
      });
    });
    return operations * kMultiplyAdds * kBlocks * pool_.threads() / seconds / 1e9;
  }

  // About the shapes of the default model's gate and up: K 576 (768 for types with super-blocks), and so many columns
  // that a row streams them from memory.
  void gemm(PanelType type, std::uint32_t rows) {
    const std::uint32_t k = cpu::panel_format(type).super ? 768 : 576;
    const std::uint32_t panels = rows == 1 ? 192 * 60 : 192;
    const std::size_t panel_bytes = cpu::panel_bytes(type, k);
    const std::size_t tile_bytes = k / cpu::kGroup * cpu::kTileGroupBytes;
    AlignedBuffer<std::uint8_t> weights, tiles;
    AlignedBuffer<float> out;
    weights.reserve(panels * panel_bytes);
    std::memset(weights.data(), 0x2A, panels * panel_bytes);  // f16 0.05 where a scale is
    tiles.reserve((rows + 7) / 8 * tile_bytes);
    std::vector<float> row(k);
    for (std::uint32_t r = 0; r < rows; ++r) {
      for (std::uint32_t i = 0; i < k; ++i) row[i] = static_cast<float>((r * 31 + i * 7) % 200) / 100.0f - 1.0f;
      kernels_.quantize(row.data(), k, tiles.data() + r / 8 * tile_bytes, r % 8);
    }
    const std::size_t stride = std::size_t{panels} * cpu::kPanelColumns;
    out.reserve(rows * stride);
    const std::uint32_t repeats = rows == 8 ? 50 : 1;
    const double seconds =
        best_seconds([&] {
          for (std::uint32_t n = 0; n < repeats; ++n)
            pool_.run(pool_.threads() * 6, [&](std::uint32_t task, std::uint32_t) {
              const std::uint32_t tasks = pool_.threads() * 6;
              const std::uint32_t p = panels * task / tasks;
              kernels_.gemm[static_cast<std::uint32_t>(type)](
                  {weights.data() + p * panel_bytes, panel_bytes, panels * (task + 1) / tasks - p, tiles.data(),
                   tile_bytes, k, rows, out.data() + p * cpu::kPanelColumns, stride, false});
            });
        }) /
        repeats;
    constexpr const char* kNames[] = {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k", "q5_k", "q6_k"};
    const std::string name = std::string(kNames[static_cast<std::uint32_t>(type)]) + " x int8, " +
                             std::to_string(rows) + (rows == 1 ? " row" : " rows");
    const double gops = 2.0 * rows * k * static_cast<double>(stride) / seconds / 1e9;
    if (rows == 1)
      print(name, static_cast<double>(panels * panel_bytes) / seconds / 1e9, "GB/s", "plain reading", read_gbs_);
    else
      print(name, gops, "GOPS", "int8 from registers", peak_gops_);
  }

  // One KV head, 2,048 keys, head dimension 64; from the caches.
  void attention(std::uint32_t queries) {
    constexpr std::uint32_t kDim = 64, kBlockTokens = 32, kKeys = 2048;
    const std::vector<std::uint16_t> kv(std::size_t{kKeys} * kDim * 2, 0x2E00);
    std::vector<const std::uint8_t*> table;
    for (std::uint32_t b = 0; b < kKeys / kBlockTokens; ++b)
      table.push_back(reinterpret_cast<const std::uint8_t*>(kv.data() + std::size_t{b} * kBlockTokens * kDim * 2));
    const std::vector<float> q(kDim * cpu::kQuerySlots, 0.1f);
    const std::vector<std::uint32_t> limits(queries, kKeys);
    const cpu::AttentionTile tile{q.data(), limits.data(),           queries,      0,   table.data(),
                                  0,        kBlockTokens * kDim * 2, kBlockTokens, kDim};
    constexpr std::uint32_t kTasks = 60;
    const double seconds = best_seconds([&] {
      pool_.run(kTasks, [&](std::uint32_t, std::uint32_t) {
        float state_out[cpu::kQueryTile * kDim], next_out[cpu::kQueryTile * kDim];
        cpu::AttentionPartial state{{}, {}, state_out}, next{{}, {}, next_out};
        for (std::uint32_t s = 0; s < kKeys / cpu::kSegmentTokens; ++s) {
          kernels_.attend[0](tile, s, next);
          kernels_.fold(state, next, queries, kDim);
        }
      });
    });
    const double gflops = 4.0 * queries * kKeys * kDim * kTasks / seconds / 1e9;
    print("attention, " + std::to_string(queries) + " queries a key", gflops, "GFLOPS", "fp32 from registers",
          peak_gflops_);
  }

  const cpu::KernelTable& kernels_;
  ThreadPool pool_;
  const bool json_;
  double read_gbs_ = 0, peak_gops_ = 0, peak_gflops_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The CPU kernels alone");
  std::string kernel_class;
  std::uint32_t threads = std::max(1u, std::thread::hardware_concurrency());
  bool json = false;
  app.add_option("--class", kernel_class, "kernel class; default: the best this machine has");
  app.add_option("--threads", threads)->check(CLI::PositiveNumber);
  app.add_flag("--json", json, "one JSON line a figure");
  CLI11_PARSE(app, argc, argv);
  const Result<const cpu::KernelTable*> kernels = find_kernels(kernel_class);
  if (!kernels.ok()) {
    std::fprintf(stderr, "%s\n", kernels.error().message.c_str());
    return 2;
  }
  if (!json) std::printf("kernel class %s, %u threads\n", kernels.value()->name, threads);
  Bench(*kernels.value(), threads, json).run();
}
