#include "tests/support/temp_dir.h"

#include <cstdlib>
#include <filesystem>

#include "storage/base/assert.h"

namespace kvasir::testing {
namespace {

std::string existing_or_empty(const char* variable, const std::filesystem::path& fallback) {
  if (const char* value = std::getenv(variable)) return value;
  return std::filesystem::exists(fallback) ? fallback.string() : std::string();
}

}  // namespace

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "kvasir-test-XXXXXX").string();
  KVASIR_ASSERT(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string shared_data_dir() {
  return existing_or_empty("KVASIR_SHARED_DATA",
                           std::filesystem::path(KVASIR_SOURCE_DIR).parent_path() / "shared" / "data");
}

std::string default_model_path() {
  return existing_or_empty("KVASIR_MODEL",
                           std::filesystem::path(KVASIR_SOURCE_DIR) / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf");
}

std::string gemma_model_path() {
  return existing_or_empty("KVASIR_GEMMA3",
                           std::filesystem::path(KVASIR_SOURCE_DIR) / "models" / "gemma-3-270m-q4_k_m.gguf");
}

}  // namespace kvasir::testing
