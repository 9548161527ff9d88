#include "engine/cpu/kernel_dispatch.h"

#include <algorithm>
#include <string>
#include <vector>

#include <spdlog/spdlog.h>

#include "engine/cpu/amx_int8.h"
#include "engine/cpu/bf16_dots.h"
#include "engine/cpu/cpu_backends.h"
#include "engine/cpu/kernel_checks.h"

namespace kvasir {
namespace {

// avx512_vnni, and its products of bf16.
cpu::KernelTable bf16_table() {
  cpu::KernelTable table = cpu::kAvx512VnniKernels;
  table.name = "avx512_bf16";
  table.gemm_panels = std::max(table.gemm_panels, cpu::kBf16GemmPanels);
  table.gemm[static_cast<std::uint32_t>(cpu::PanelType::bf16)] = cpu::bf16_dots;
  table.round_row = cpu::bf16_round_row;
  return table;
}

// What there is below it, and the quantized products of AMX.
cpu::KernelTable amx_table(const cpu::KernelTable& below) {
  cpu::KernelTable table = below;
  table.name = "amx_int8";
  cpu::use_amx_int8(table);
  return table;
}

bool checked(const cpu::KernelTable& table, bool agrees) {
  if (!agrees)
    spdlog::warn("kernel class {} does not compute what it should on this processor and is not used; please report it",
                 table.name);
  return agrees;
}

// Best first. The builtins look at cpuid and at what the operating system saves of the registers.
std::vector<const cpu::KernelTable*> find_runnable() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");  // every AVX2 processor has F16C
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  std::vector<const cpu::KernelTable*> tables{&cpu::kScalarKernels};
  if (avx2) tables.push_back(&cpu::kAvx2Kernels);
  if (avx512) tables.push_back(&cpu::kAvx512Kernels);
  if (avx512 && __builtin_cpu_supports("avx512vnni")) {
    tables.push_back(&cpu::kAvx512VnniKernels);
    static const cpu::KernelTable bf16 = bf16_table();
    if (__builtin_cpu_supports("avx512bf16") && checked(bf16, bf16_products_agree(bf16))) tables.push_back(&bf16);
    static const cpu::KernelTable amx = amx_table(*tables.back());
    if (cpu::request_amx() && checked(amx, quantized_products_agree(amx))) tables.push_back(&amx);
  }
  std::ranges::reverse(tables);
  return tables;
}

const std::vector<const cpu::KernelTable*>& runnable_kernels() {
  static const std::vector<const cpu::KernelTable*> tables = find_runnable();
  return tables;
}

}  // namespace

std::vector<std::string> available_kernel_classes() {
  std::vector<std::string> names;
  for (const cpu::KernelTable* table : runnable_kernels()) names.emplace_back(table->name);
  return names;
}

Result<const cpu::KernelTable*> find_kernels(std::string_view name) {
  const std::vector<const cpu::KernelTable*>& tables = runnable_kernels();
  if (name.empty()) return tables.front();
  std::string allowed;
  for (const cpu::KernelTable* table : tables) {
    if (name == table->name) return table;
    allowed += (allowed.empty() ? "" : ", ") + std::string(table->name);
  }
  return error(ErrorCode::invalid_argument,
               "kernel class '" + std::string(name) + "' cannot run here; this machine has: " + allowed,
               "kernel_class");
}

}  // namespace kvasir
