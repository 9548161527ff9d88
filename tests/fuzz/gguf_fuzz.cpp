#include <cstddef>
#include <cstdint>

#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "engine/model/weights.h"

// The reader, and everything that is read from a file before its weights are computed with.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = kvasir::GgufFile::parse({reinterpret_cast<const std::byte*>(data), size});
  if (!file) return 0;
  (void)kvasir::read_vocabulary(**file);
  const auto config = kvasir::read_model_config(**file);
  if (!config) return 0;
  const auto tensors = kvasir::find_tensors(**file, *config);
  KVASIR_ASSERT(tensors.ok());
  (void)kvasir::weights_digest(**file, *config);
  return 0;
}
