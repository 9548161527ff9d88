#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "engine/model/weights.h"
#include "gateway/inspect/kv_plan.h"
#include "gateway/inspect/model_report.h"
#include "gateway/json/json.h"

// No input is longer than a megabyte: nothing that is read from it may ask for more at once.
extern "C" const char* __asan_default_options() { return "max_allocation_size_mb=64"; }

namespace {

using kvasir::GgufFile;

void use_text(const GgufFile& file) {
  auto vocabulary = kvasir::read_vocabulary(file);
  if (!vocabulary) return;
  const auto tokenizer = kvasir::Tokenizer::load(std::move(*vocabulary));
  if (!tokenizer) return;
  const auto ids = (*tokenizer)->encode_with_specials(" Hello, world\n\n 123 \xF0\x9F\x98\x80\xFF<s></s><|im_end|>");
  for (const kvasir::TokenId id : ids) {
    KVASIR_ASSERT(id >= 0 && static_cast<std::uint32_t>(id) < (*tokenizer)->size());
  }
  (void)(*tokenizer)->decode(ids);
}

void use_model(const GgufFile& file) {
  const auto config = kvasir::read_model_config(file);
  if (!config) return;
  const auto tensors = kvasir::find_tensors(file, *config);
  KVASIR_ASSERT(tensors.ok());
  (void)tensors->rope_divisors();
  (void)kvasir::weights_digest(file, *config);
  kvasir::PlanRequest request;
  request.memory_bytes = 1ull << 34;
  const auto plan = kvasir::make_plan(file, request);
  KVASIR_ASSERT(plan.ok());
  (void)to_text(*plan);
  KVASIR_ASSERT(kvasir::parse_json(to_json(*plan)).ok());
}

// What a terminal gets is text on lines, whatever the file holds.
void use_report(const GgufFile& file) {
  const kvasir::ModelReport report = kvasir::describe_model(file);
  for (const char c : to_text(report)) KVASIR_ASSERT(c == '\n' || static_cast<unsigned char>(c) >= ' ');
  KVASIR_ASSERT(kvasir::parse_json(to_json(report)).ok());
  KVASIR_ASSERT(report.served() == report.problems.empty());
}

}  // namespace

// The reader, and everything that is read from a file before its weights are computed with.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto file = GgufFile::parse(bytes);
  const std::array<std::span<const std::byte>, 2> halves = {bytes.first(size / 2), bytes.subspan(size / 2)};
  (void)GgufFile::parse_parts(halves);
  if (!file) return 0;
  use_text(**file);
  use_model(**file);
  use_report(**file);
  return 0;
}
