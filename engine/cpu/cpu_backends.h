#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/backend.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "storage/base/result.h"

namespace kvasir {

struct BackendOptions {
  std::uint32_t threads = 0;  // compute threads; 0: one per core
  bool pin_threads = false;   // each to a core of its own
  std::uint32_t block_tokens = 32;
  std::size_t pool_bytes = 2ull << 30;  // cap on the block pool; rounded down to whole blocks
  std::string kv_type = "f16";          // f16 or int8; the reference backend keeps f32 whatever stands here
  std::string kernel_class;             // force one (as "avx2"); empty: the best the machine has
};

// The scalar oracle: weights dequantized to f32, f32 KV, one obvious loop per operation.
// engine/cpu/reference_backend.cpp
Result<std::unique_ptr<Backend>> make_reference_backend(const GgufFile& file, const ModelConfig& config,
                                                        const BackendOptions& options);
// Vectorized kernels chosen at run time, f16 KV, weights repacked. engine/cpu/cpu_backend.cpp. After it returns, the
// file's mapping is not read again.
Result<std::unique_ptr<Backend>> make_cpu_backend(const GgufFile& file, const ModelConfig& config,
                                                  const BackendOptions& options);

// Kernel classes that this processor can run, best first ("amx_int8", "avx512_bf16", "avx512_vnni", "avx512", "avx2");
// "scalar" is always last.
std::vector<std::string> available_kernel_classes();

}  // namespace kvasir
