// The roofline of each CPU kernel alone: bytes it moves, operations it does, which of this machine's limits binds it
// and how much of that limit it reaches. The limits are measured between the kernel's own runs, by as many threads:
// plain reading of the same memory (or of as much in the caches), and multiply-adds from registers.
//   kernels_bench [--class NAME] [--threads N] [--kernel NAME]... [--json]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "engine/cpu/aligned_buffer.h"
#include "engine/cpu/kernel_dispatch.h"
#include "engine/cpu/packed_matrix.h"
#include "engine/cpu/thread_pool.h"

namespace {

using namespace kvasir;
using cpu::PanelType;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// 8 x 14 independent multiply-adds on registers alone, of zeros: only their time counts.
#define KVASIR_REPEAT_8(x) x x x x x x x x
#define KVASIR_OF(op, r, n) op " %%" r "14, %%" r "15, %%" r #n "\n"
#define KVASIR_FOURTEEN(op, r) \
  KVASIR_OF(op, r, 0)          \
  KVASIR_OF(op, r, 1)          \
  KVASIR_OF(op, r, 2)          \
  KVASIR_OF(op, r, 3)          \
  KVASIR_OF(op, r, 4)          \
  KVASIR_OF(op, r, 5)          \
  KVASIR_OF(op, r, 6)          \
  KVASIR_OF(op, r, 7)          \
  KVASIR_OF(op, r, 8)          \
  KVASIR_OF(op, r, 9) KVASIR_OF(op, r, 10) KVASIR_OF(op, r, 11) KVASIR_OF(op, r, 12) KVASIR_OF(op, r, 13)
#define KVASIR_BLOCK(name, op, r)                                                                               \
  void name() {                                                                                                 \
    asm volatile("vxorps %%ymm14, %%ymm14, %%ymm14\nvxorps %%ymm15, %%ymm15, %%ymm15\n" KVASIR_REPEAT_8(        \
                     KVASIR_FOURTEEN(op, r))::                                                                  \
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                                            \
  }
constexpr std::uint32_t kMultiplyAdds = 8 * 14;

KVASIR_BLOCK(dot_products_512, "vpdpbusd", "zmm")
KVASIR_BLOCK(byte_products_512, "vpmaddubsw", "zmm")
KVASIR_BLOCK(byte_products_256, "vpmaddubsw", "ymm")
KVASIR_BLOCK(bf16_products_512, "vdpbf16ps", "zmm")
KVASIR_BLOCK(fp32_products_512, "vfmadd231ps", "zmm")
KVASIR_BLOCK(fp32_products_256, "vfmadd231ps", "ymm")

// Reads 64 bytes at a time, asking for what lies ahead (the best distance found).
#define KVASIR_READING(name, loads)                                                        \
  void name(const std::uint8_t* from, std::size_t bytes) {                                 \
    for (const std::uint8_t* at = from; at + 64 <= from + bytes; at += 64)                 \
      asm volatile("prefetcht0 12288(%0)\n" loads : : "r"(at) : "xmm0", "xmm1", "memory"); \
  }
KVASIR_READING(read_512, "vmovups (%0), %%zmm0\n")
KVASIR_READING(read_256, "vmovups (%0), %%ymm0\nvmovups 32(%0), %%ymm1\n")
KVASIR_READING(read_128, "movups (%0), %%xmm0\nmovups 16(%0), %%xmm1\nmovups 32(%0), %%xmm0\nmovups 48(%0), %%xmm1\n")

// What kernels are held against.
enum Limit : std::uint32_t { kMemory, kCache, kInt8, kBf16, kFp32, kLimits };
constexpr const char* kLimitNames[kLimits] = {"plain memory reading", "plain cache reading", "int8 from registers",
                                              "bf16 from registers", "fp32 from registers"};
constexpr const char* kUnits[kLimits] = {"GB/s", "GB/s", "GOPS", "GFLOPS", "GFLOPS"};

// Work of one run of a kernel by all threads: bytes, and operations (a multiply-add is two, as is any instruction that
// takes the place of one).
struct Work {
  std::string name;
  double amount[kLimits] = {};
  double goal = 0;             // part of the limit; 0: none
  std::uint32_t portions = 1;  // runs that go through it once
};

class Bench {
 public:
  Bench(const cpu::KernelTable& kernels, std::uint32_t threads, bool json)
      : kernels_(kernels), pool_(threads), json_(json), cached_(kCachedBytes * threads), streamed_(kStreamedBytes) {
    std::memset(streamed_.bytes().data(), 0x2A, kStreamedBytes);  // as weights: f16 0.05 where a scale is
    const std::string name = kernels.name;
    if (name == "avx512") {
      blocks_[kInt8] = {byte_products_512, 128};
    } else if (name.rfind("avx", 0) == 0 && name != "avx2") {
      blocks_[kInt8] = {dot_products_512, 128};
    } else if (name == "avx2") {
      blocks_[kInt8] = {byte_products_256, 64};
      blocks_[kFp32] = {fp32_products_256, 16};
      read_ = read_256;
    }
    if (name.rfind("avx512", 0) == 0 || name.rfind("amx", 0) == 0) {
      blocks_[kFp32] = {fp32_products_512, 32};
      read_ = read_512;
    }
    if (kernels.round_row != nullptr) blocks_[kBf16] = {bf16_products_512, 64};
  }

  void limits() {
    for (std::uint32_t limit = 0; limit < kLimits; ++limit) {
      double best = 0;
      for (std::uint32_t i = 0; i < kRounds; ++i) best = std::max(best, giga(Limit{limit}));
      if (best > 0) print(kLimitNames[limit], best, kUnits[limit], kLimitNames[limit], best, 0);
    }
    if (!json_)
      std::printf("\n%-26s %9s %9s %9s %9s  %s\n", "kernel", "us", "MB", "Gop", "reached", "of the limit that binds");
  }

  // Rows 1 and 8 as of decoding, 64 and 512 as of a prompt.
  void gemm() {
    for (std::uint32_t type = 0; type < cpu::kPanelTypes; ++type)
      for (const std::uint32_t rows : {1u, 2u, 4u, 8u, 64u, 512u}) gemm(PanelType{type}, rows);
  }

  void attention() {
    for (const cpu::KvType type : {cpu::KvType::f16, cpu::KvType::int8})
      for (const std::uint32_t queries : {3u, cpu::kQueryTile}) attention(type, queries);
  }

  // The kernels of rows: 128 of 768 elements a thread, which L2 holds.
  void quantize() {
    AlignedBuffer<std::uint8_t> tiles;
    const std::size_t tile_bytes = kN / cpu::kGroup * cpu::kTileGroupBytes;
    tiles.reserve(kRows / 8 * tile_bytes * pool_.threads());
    const auto out = [&](std::uint32_t t, std::uint32_t r) { return tiles.data() + (t * kRows + r) / 8 * tile_bytes; };
    rows("quantize", 4 + 1, 2 * 2,
         [&](float* x, std::uint32_t t, std::uint32_t r) { kernels_.quantize(x, kN, out(t, r), r % 8); });
  }
  void rms_norm() {
    const std::vector<float> weight(kN, 1.0f);
    AlignedBuffer<float> out;
    out.reserve(kN * pool_.threads());
    rows("rms_norm", 4, 3 * 2, [&](float* x, std::uint32_t t, std::uint32_t) {
      kernels_.rms_norm(x, weight.data(), kN, 1e-5f, out.data() + t * kN);
    });
  }
  void rope() {
    const std::vector<float> cosines(kN, 0.8f), sines(kN, 0.6f);
    rows("rope", 4 + 4, 3 * 2,
         [&](float* x, std::uint32_t, std::uint32_t) { kernels_.rope(x, cosines.data(), sines.data(), kN, 1.0f); });
  }
  void silu_mul() {
    AlignedBuffer<float> out;
    out.reserve(kN * pool_.threads());
    const std::vector<float> up(kN, 0.5f);
    rows("silu_mul", 4, 15 * 2, [&](float* x, std::uint32_t t, std::uint32_t) {
      kernels_.silu_mul(x, up.data(), kN / 16, out.data() + t * kN, 16);
    });
  }

 private:
  static constexpr std::uint32_t kRounds = 8, kN = 768, kRows = 128;
  static constexpr std::size_t kCachedBytes = 256 << 10;    // of each thread
  static constexpr std::size_t kStreamedBytes = 384 << 20;  // far more than the caches hold
  static constexpr std::size_t kFreshBytes = 24 << 20;      // of it at a time

  struct Block {
    void (*run)() = nullptr;
    double operations = 0;  // of one instruction
  };

  // Memory that was not read for long enough to have left the caches.
  std::span<const std::uint8_t> fresh() {
    next_ = (next_ + kFreshBytes) % kStreamedBytes;
    return streamed_.bytes().subspan(next_, kFreshBytes);
  }

  // What the machine reaches right now, in 10^9 a second; 0: it cannot be measured here.
  double giga(Limit limit) {
    constexpr std::uint32_t kBlocks = 10000, kPasses = 32;
    const std::uint32_t threads = pool_.threads();
    if (limit == kMemory || limit == kCache) {
      const std::span<const std::uint8_t> bytes = limit == kMemory ? fresh() : cached_.bytes();
      const std::uint32_t passes = limit == kMemory ? 1 : kPasses;
      const std::size_t part = bytes.size() / threads / 64 * 64;
      const double seconds = seconds_of([&] {
        pool_.run(threads, [&](std::uint32_t i, std::uint32_t) {
          for (std::uint32_t pass = 0; pass < passes; ++pass) read_(bytes.data() + i * part, part);
        });
      });
      return static_cast<double>(part * threads * passes) / seconds / 1e9;
    }
    const Block block = blocks_[limit];
    if (block.run == nullptr) return 0;
    const double seconds = seconds_of([&] {
      pool_.run(threads, [&](std::uint32_t, std::uint32_t) {
        for (std::uint32_t i = 0; i < kBlocks; ++i) block.run();
      });
    });
    return block.operations * kMultiplyAdds * kBlocks * threads / seconds / 1e9;
  }

  // Best of several rounds, each of the kernel and of its limits: the machine's other work only ever adds time.
  void measure(const Work& work, const std::function<void(const std::uint8_t* fresh)>& run, std::uint32_t runs = 1) {
    double seconds = 1e9, best[kLimits] = {};
    run(fresh().data());
    for (std::uint32_t round = 0; round < kRounds; ++round) {
      const std::uint8_t* from = fresh().data();
      seconds = std::min(seconds, seconds_of([&] {
                                    for (std::uint32_t i = 0; i < runs; ++i) run(from);
                                  }) / runs);
      for (std::uint32_t limit = 0; limit < kLimits; ++limit)
        if (work.amount[limit] > 0) best[limit] = std::max(best[limit], giga(Limit{limit}));
    }
    std::uint32_t binds = kMemory;
    double least = 0, arithmetic = 0;  // seconds that the limits allow
    for (std::uint32_t limit = 0; limit < kLimits; ++limit) {
      const double needed = best[limit] > 0 ? work.amount[limit] / best[limit] / 1e9 : 0;
      if (limit >= kInt8) arithmetic += needed;
      if (needed > least) least = needed, binds = limit;
    }
    const double value = work.amount[binds] / seconds / 1e9;
    if (!json_)
      std::printf("%-26s %9.1f %9.2f %9.4f ", work.name.c_str(), 1e6 * seconds,
                  (work.amount[kMemory] + work.amount[kCache]) / 1e6,
                  (work.amount[kInt8] + work.amount[kBf16] + work.amount[kFp32]) / 1e9);
    print(work.name.c_str(), value, kUnits[binds], kLimitNames[binds], best[binds], work.goal, arithmetic / seconds);
  }

  void print(const char* figure, double value, const char* unit, const char* peer, double peer_value, double goal,
             double arithmetic = 0) const {
    const double ratio = peer_value > 0 ? value / peer_value : 0;
    if (json_) {
      std::printf(
          "{\"figure\": \"%s\", \"value\": %.2f, \"unit\": \"%s\", \"peer\": \"%s\", \"peer_value\": %.2f, "
          "\"ratio\": %.3f, ",
          figure, value, unit, peer, peer_value, ratio);
      if (goal > 0)
        std::printf("\"goal\": %.2f, \"met\": %s}\n", goal, ratio >= goal ? "true" : "false");
      else
        std::printf("\"goal\": null, \"met\": null}\n");
    } else if (figure == peer) {
      std::printf("%-26s %9.1f %s\n", figure, value, unit);
    } else {
      std::printf("%9.1f  %3.0f %% of %s (%.1f %s)", value, 100 * ratio, peer, peer_value, unit);
      if (arithmetic > 0) std::printf(", %.0f %% of all arithmetic", 100 * arithmetic);
      if (goal > 0) std::printf("; goal %.0f %%%s", 100 * goal, ratio >= goal ? "" : ", missed");
      std::printf("\n");
    }
    std::fflush(stdout);
  }

  // About the shapes of the default model's gate and up: K 576 (768 for types with super-blocks). Few rows of so many
  // columns that weights stream from memory, many rows of so few that they stay in the caches.
  void gemm(PanelType type, std::uint32_t rows) {
    const bool streams = rows < 64;
    const bool int8 = cpu::wants_int8(type), rounds = type == PanelType::bf16 && kernels_.round_row != nullptr;
    const std::uint32_t k = int8 && cpu::panel_format(type).super ? 768 : 576;
    const std::size_t panel_bytes = cpu::panel_bytes(type, k);
    const std::size_t tile_bytes =
        int8 ? k / cpu::kGroup * cpu::kTileGroupBytes : std::size_t{k} * 8 * (rounds ? 2 : 4);
    const std::uint32_t panels = streams ? static_cast<std::uint32_t>(kFreshBytes / panel_bytes) / 12 * 12 : 192;
    AlignedBuffer<std::uint8_t> tiles;
    tiles.reserve((rows + 7) / 8 * tile_bytes);
    std::vector<float> row(k);
    for (std::uint32_t r = 0; r < rows; ++r) {
      for (std::uint32_t i = 0; i < k; ++i) row[i] = static_cast<float>((r * 31 + i * 7) % 200) / 100.0f - 1.0f;
      std::uint8_t* tile = tiles.data() + r / 8 * tile_bytes;
      if (int8) kernels_.quantize(row.data(), k, tile, r % 8);
      if (rounds) kernels_.round_row(row.data(), k, tile, r % 8);
      if (!int8 && !rounds)
        for (std::uint32_t i = 0; i < k; ++i) reinterpret_cast<float*>(tile)[i * 8 + r % 8] = row[i];
    }
    const std::size_t stride = std::size_t{panels} * cpu::kPanelColumns;
    AlignedBuffer<float> out;
    out.reserve(rows * stride);

    constexpr const char* kNames[] = {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k",
                                      "q5_k", "q6_k", "f16",  "bf16", "f32"};
    Work work{std::string("gemm ") + kNames[static_cast<std::uint32_t>(type)] + ", " + std::to_string(rows) +
              (rows == 1 ? " row" : " rows")};
    const double products = static_cast<double>(rows) * k * static_cast<double>(stride);
    work.amount[streams ? kMemory : kCache] = static_cast<double>(panels * panel_bytes);
    if (int8) {
      const cpu::PanelFormat format = cpu::panel_format(type);
      work.amount[kInt8] = 2 * products;
      work.amount[kFp32] = 2 * products / cpu::kGroup * (format.halves ? 4 : format.minimum ? 3 : 2);
      work.goal = rows == 512 ? 0.65 : 0;
    } else {
      work.amount[rounds ? kBf16 : kFp32] = 2 * products;
    }
    if (rows == 1) work.goal = 0.75;
    // As the engine cuts a product: blocks of rows that L2 holds, and so many runs of panels, of a multiple of those
    // side by side.
    const std::uint32_t block = std::min(rows, static_cast<std::uint32_t>((512 << 10) / tile_bytes * 8));
    const std::uint32_t side = kernels_.gemm_panels, tasks = pool_.threads() * 6;
    const std::uint32_t run = (panels + tasks * side - 1) / (tasks * side) * side;
    measure(work, [&](const std::uint8_t* fresh) {
      const std::uint8_t* from = streams ? fresh : streamed_.bytes().data();
      const std::uint32_t runs = (panels + run - 1) / run, blocks = (rows + block - 1) / block;
      pool_.run(runs * blocks, [&](std::uint32_t task, std::uint32_t) {
        const std::uint32_t p = task % runs * run, r = task / runs * block;
        kernels_.gemm[static_cast<std::uint32_t>(type)](
            {from + p * panel_bytes, panel_bytes, std::min(run, panels - p), tiles.data() + r / 8 * tile_bytes,
             tile_bytes, k, std::min(block, rows - r), out.data() + r * stride + p * cpu::kPanelColumns, stride,
             false});
      });
    });
  }

  // One KV head, 2,048 keys, head dimension 64; from the caches.
  void attention(cpu::KvType type, std::uint32_t queries) {
    constexpr std::uint32_t kDim = 64, kBlockTokens = 32, kKeys = 2048, kTasks = 60;
    const std::size_t v_offset = kBlockTokens * (kDim * cpu::kv_value_bytes(type) + cpu::kv_scale_bytes(type));
    const std::vector<std::uint8_t> kv(kKeys / kBlockTokens * 2 * v_offset, 0x2E);
    std::vector<const std::uint8_t*> table;
    for (std::uint32_t b = 0; b < kKeys / kBlockTokens; ++b) table.push_back(kv.data() + b * 2 * v_offset);
    const std::vector<float> q(kDim * cpu::kQuerySlots, 0.1f);
    const std::vector<std::uint32_t> limits(queries, kKeys);
    cpu::AttentionTile tile{};
    tile.q = q.data(), tile.limits = limits.data(), tile.queries = queries, tile.blocks = table.data();
    tile.v_offset = v_offset, tile.block_tokens = kBlockTokens, tile.head_dim = kDim;
    Work work{std::string("attention ") + (type == cpu::KvType::f16 ? "f16, " : "int8, ") + std::to_string(queries) +
              " queries"};
    work.amount[kFp32] = 4.0 * queries * kKeys * kDim * kTasks;
    work.amount[kCache] = static_cast<double>(kv.size() * kTasks);
    measure(work, [&](const std::uint8_t*) {
      pool_.run(kTasks, [&](std::uint32_t, std::uint32_t) {
        alignas(64) float state_out[cpu::kQueryTile * kDim], next_out[cpu::kQueryTile * kDim];
        cpu::AttentionPartial state{{}, {}, state_out}, next{{}, {}, next_out};
        for (std::uint32_t s = 0; s < kKeys / cpu::kSegmentTokens; ++s) {
          kernels_.attend[static_cast<std::uint32_t>(type)](tile, s, next);
          kernels_.fold(state, next, queries, kDim);
        }
      });
    });
  }

  // A kernel of a row x, with so many bytes that come from L2 or go there and operations for each of its elements.
  void rows(const char* name, double bytes, double operations,
            const std::function<void(float* x, std::uint32_t thread, std::uint32_t row)>& kernel) {
    AlignedBuffer<float> x;
    const std::size_t all = std::size_t{kN} * kRows * pool_.threads();
    x.reserve(all);
    for (std::size_t i = 0; i < all; ++i) x.data()[i] = static_cast<float>(i % 200) / 100.0f - 1.0f;
    Work work{name};
    work.amount[kCache] = bytes * static_cast<double>(all);
    work.amount[kFp32] = operations * static_cast<double>(all);
    measure(
        work,
        [&](const std::uint8_t*) {
          pool_.run(pool_.threads(), [&](std::uint32_t t, std::uint32_t) {
            for (std::uint32_t r = 0; r < kRows; ++r) kernel(x.data() + (t * kRows + r) * kN, t, r);
          });
        },
        20);
  }

  const cpu::KernelTable& kernels_;
  ThreadPool pool_;
  const bool json_;
  WeightMemory cached_, streamed_;
  std::size_t next_ = 0;
  Block blocks_[kLimits];
  void (*read_)(const std::uint8_t* from, std::size_t bytes) = read_128;
};

const std::pair<const char*, void (Bench::*)()> kKernels[] = {
    {"gemm", &Bench::gemm},         {"attention", &Bench::attention}, {"quantize", &Bench::quantize},
    {"rms_norm", &Bench::rms_norm}, {"rope", &Bench::rope},           {"silu_mul", &Bench::silu_mul}};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The roofline of each CPU kernel");
  std::string kernel_class;
  std::uint32_t threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::string> wanted, names;
  for (const auto& [name, run] : kKernels) names.push_back(name);
  bool json = false;
  app.add_option("--class", kernel_class, "kernel class; default: the best this machine has");
  app.add_option("--threads", threads)->check(CLI::PositiveNumber);
  app.add_option("--kernel", wanted, "only these kernels")->check(CLI::IsMember(names));
  app.add_flag("--json", json, "one JSON line a figure");
  CLI11_PARSE(app, argc, argv);
  const Result<const cpu::KernelTable*> kernels = find_kernels(kernel_class);
  if (!kernels.ok()) {
    std::fprintf(stderr, "%s\n", kernels.error().message.c_str());
    return 2;
  }
  if (!json) std::printf("kernel class %s, %u threads\n", kernels.value()->name, threads);
  Bench bench(*kernels.value(), threads, json);
  bench.limits();
  for (const auto& [name, run] : kKernels)
    if (wanted.empty() || std::ranges::find(wanted, name) != wanted.end()) (bench.*run)();
}
