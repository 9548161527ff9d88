#include "engine/cpu/kernel_dispatch.h"

#include <string>
#include <vector>

#include "engine/cpu/cpu_backends.h"

namespace kvasir {
namespace {

// The builtins look at cpuid and at what the operating system saves of the registers.
std::vector<const cpu::KernelTable*> runnable_kernels() {
  __builtin_cpu_init();
  std::vector<const cpu::KernelTable*> tables;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");  // every AVX2 processor has F16C
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512 && __builtin_cpu_supports("avx512vnni")) tables.push_back(&cpu::kAvx512VnniKernels);
  if (avx512) tables.push_back(&cpu::kAvx512Kernels);
  if (avx2) tables.push_back(&cpu::kAvx2Kernels);
  tables.push_back(&cpu::kScalarKernels);
  return tables;
}

}  // namespace

std::vector<std::string> available_kernel_classes() {
  std::vector<std::string> names;
  for (const cpu::KernelTable* table : runnable_kernels()) names.emplace_back(table->name);
  return names;
}

Result<const cpu::KernelTable*> find_kernels(std::string_view name) {
  const std::vector<const cpu::KernelTable*> tables = runnable_kernels();
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
