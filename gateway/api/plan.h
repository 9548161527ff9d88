#pragma once

#include <string>
#include <variant>

#include "gateway/api/errors.h"
#include "gateway/api/openai_chat.h"
#include "gateway/api/openai_completions.h"
#include "gateway/auth.h"
#include "gateway/canonical/canonicalizer.h"
#include "gateway/generation.h"

namespace kvasir {

template <class T>
using ApiResult = std::variant<T, ApiError>;

// What a call brings along besides its body.
struct CallContext {
  std::string id;  // of the call: random hex
  std::string tenant;
  const Authenticator* authenticator = nullptr;
  CallMemory* calls = nullptr;           // null: arguments in the history count as sent
  const Canonicalizer* rules = nullptr;  // null: the defaults
  TimePoint arrived;
  TimePoint deadline;
  std::int64_t unix_now = 0;
  std::string local_now;          // ISO, for templates
  std::uint64_t random_seed = 0;  // of this call alone: for ids, and for sampling when the request has no seed
};

// From parsed requests to plans that can run: renders, tokenizes, checks ids and lengths against the model.
ApiResult<GenerationPlan> plan_chat(const ChatRequest& request, const Model& model, const CallContext& call);
ApiResult<GenerationPlan> plan_completion(const CompletionRequest& request, const Model& model,
                                          const CallContext& call);

// A conversation under the model's template, brought to its canonical form before.
struct ConversationTokens {
  std::vector<TokenId> ids;
  CanonicalReport canonical;
};
// Errors: the template's own complaint, or no template.
ApiResult<ConversationTokens> tokenize_conversation(Conversation conversation, const Model& model,
                                                    const CallContext& call);

// The ids of a raw text prompt: BOS where the model wants one.
std::vector<TokenId> tokenize_text(const Tokenizer& tokenizer, const std::string& text, bool special, bool add_bos);

}  // namespace kvasir
