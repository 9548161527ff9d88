// Request bodies of the API: whatever the bytes, parsing ends with a request or an error that has a message.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "gateway/api/openai_chat.h"
#include "gateway/api/openai_completions.h"
#include "gateway/api/template_variables.h"
#include "gateway/api/tokenize.h"
#include "gateway/json/json.h"
#include "storage/base/assert.h"

namespace {

template <class T>
void check(const kvasir::Result<T>& result) {
  if (!result) KVASIR_ASSERT(!result.error().message.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const kvasir::Result<kvasir::Value> body = kvasir::parse_json(text, {.depth_max = 64, .bytes_max = 1u << 20});
  check(body);
  if (!body) return 0;
  const kvasir::LimitsConfig limits;
  const kvasir::Result<kvasir::ChatRequest> chat = kvasir::parse_chat_request(*body, limits);
  check(chat);
  if (chat) (void)kvasir::to_json(kvasir::template_variables(chat->conversation, {}, "<s>", "</s>"));
  check(kvasir::parse_completion_request(*body, limits));
  check(kvasir::parse_tokenize_request(*body));
  check(kvasir::parse_detokenize_request(*body));
  return 0;
}
