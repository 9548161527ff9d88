#include <cpuid.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/cpu/amx_int8.h"

namespace kvasir::cpu {
namespace {

constexpr uint32_t kTileState = 3u << 17;  // of XCR0: configuration and data of the tiles

bool system_saves_tiles() {
  uint32_t eax, ebx, ecx, edx;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & bit_OSXSAVE) == 0) return false;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kTileState) == kTileState;
}

// Leaf 7: AMX-TILE and AMX-INT8. Leaf 1Dh: palette 1 of 8 tiles of 16 rows of 64 bytes.
bool processor_has_tiles() {
  uint32_t eax, ebx, ecx, edx;
  constexpr uint32_t kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kAmxTile) == 0 || (edx & kAmxInt8) == 0)
    return false;
  if (__get_cpuid_count(0x1D, 1, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (ebx & 0xFFFF) >= 64 && ebx >> 16 >= 8 && (ecx & 0xFFFF) >= 16;
}

}  // namespace

bool request_amx() {
  if (!processor_has_tiles() || !system_saves_tiles()) return false;
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM; older headers lack the names
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace kvasir::cpu
