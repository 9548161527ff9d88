#pragma once

#include "gateway/api/conversation.h"
#include "gateway/api/generation_options.h"

namespace kvasir {

struct ChatRequest {
  GenerationOptions options;
  Conversation conversation;
  bool may_call = true;        // tool_choice is not "none"
  bool parallel_calls = true;  // parallel_tool_calls
};

// Body of POST /v1/chat/completions. Errors name the member and what is allowed.
Result<ChatRequest> parse_chat_request(const Value& body, const LimitsConfig& limits);

}  // namespace kvasir
